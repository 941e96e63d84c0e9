"""Fine-tuning within a time budget joins a judgement, or says why it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from counterpoint.apps.representations import encoder_identity, native_bfloat16, text_encoder
from counterpoint.curation.cross_fitting import Contents, CrossFitting
from counterpoint.curation.fine_tuning import FineTuning
from counterpoint.curation.judge import Judge, Judgement
from counterpoint.data.finished import Finished
from counterpoint.data.vectors import content_keys
from counterpoint.probes.inputs import Floats, features
from counterpoint.progress import OnProgress

ONLY_TEXTS = "Only text encoders are fine-tuned; the frozen judgement stands."
TOO_SMALL = (
    "The budget of {minutes:g} minutes is too small to fine-tune the encoder on {count} different "
    "texts on this machine now, or the texts are too few; the frozen judgement stands."
)
DONE = (
    "The encoder was fine-tuned: {rounds} x {folds} folds, at most {epochs:.1f} epochs each; its "
    "judgement is averaged with the frozen one."
)


def fine_tuned(
    judgement: Judgement,
    items: Sequence[Any],
    embeddings: Any,
    *,
    encoder: str | None,
    judge: Judge,
    tuning: FineTuning,
    minutes: float,
    seconds: float,
    on_progress: OnProgress | None = None,
) -> tuple[Judgement, dict[str, Any]]:
    """Joins the judgement of cross-fitted, fine-tuned encoders to that of the frozen one.

    Finished folds are kept in the user's cache under items, labels, settings and budget.

    Args:
        judgement: of the frozen embeddings.
        items: what was judged; anything but texts is left as it is.
        embeddings: of the items ``(N, D)``.
        encoder: a text encoder by name or folder.
        judge: settings.
        tuning: settings.
        minutes: the budget of the whole run.
        seconds: what is left of it.
        on_progress: told how far it is.

    Returns:
        The judgement, and plain values: ``minutes``, ``fine_tuned``, ``note``, ``tuning``, and
        ``rounds``, ``folds`` and ``epochs`` where it was fine-tuned.
    """
    about: dict[str, Any] = {"minutes": minutes, "fine_tuned": False, "tuning": asdict(tuning)}
    if not isinstance(items[0], str):
        return judgement, about | {"note": ONLY_TEXTS}
    first = np.unique(judgement.group, return_index=True)[1]
    texts = [items[row] for row in first]
    z: Floats = features(embeddings, "embeddings")[first]
    reduced = native_bfloat16()
    key = [encoder_identity(encoder), reduced, minutes, asdict(judge), asdict(tuning)]
    contents = Contents(texts, z, judgement.said)
    keys = content_keys([*texts, judgement.said]).tolist()
    finished = Finished("fine-tuned", repr([*key, keys]))
    fitting = CrossFitting(lambda: text_encoder(encoder), tuning, judge, reduced)
    found = fitting.fit(contents, seconds, finished, on_progress)
    if found is None:
        return judgement, about | {"note": TOO_SMALL.format(minutes=minutes, count=len(texts))}
    further, plan = found
    about |= {"fine_tuned": True, "note": DONE.format(**asdict(plan)), **asdict(plan)}
    return judgement.joined(further), about
