"""Finds the wrong labels of a corpus, and proposes the right ones."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from counterpoint.apps.findings import described, worst_first
from counterpoint.apps.fine_tuned import fine_tuned
from counterpoint.apps.for_review import review_files
from counterpoint.apps.label_proof import add_proof
from counterpoint.apps.multi_label import ONLY_FROZEN, reannotate_marks, reannotate_sets
from counterpoint.apps.policies import Policy, applied
from counterpoint.apps.reasons import reasons
from counterpoint.apps.representations import represent
from counterpoint.apps.room import check_room
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.duplicates import same_content
from counterpoint.curation.fine_tuning import FineTuning
from counterpoint.curation.judge import Judge, Judgement
from counterpoint.curation.noise import Noise, plant
from counterpoint.data.classes import number_classes
from counterpoint.data.corpus import Corpus, MultiLabelCorpus, relabelled
from counterpoint.data.findings import FOUND
from counterpoint.data.label_sets import is_list
from counterpoint.errors import DataError, SettingError, require, unknown_name
from counterpoint.files import check_writable, write_whole
from counterpoint.probes.inputs import Ints
from counterpoint.progress import OnProgress

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "row",
    "label",
    "credibility",
    "flagged",
    "suggested_label",
    "confidence",
    "neighbours",
    "reason",
)
SHOWN_NEIGHBOURS = 5
DEFAULT_ENCODERS = {"text": "minilm", "images": "pixels", "embeddings": "given embeddings"}


def reannotate(
    inputs: Any,
    labels: Any,
    *,
    encoder: str | None = None,
    judge: Judge | None = None,
    budget: float | None = None,
    tuning: FineTuning | None = None,
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Judges the label of every row, and suggests another where it is probably wrong.

    Args:
        inputs: N texts, N images ``(C, H, W)``, or embeddings ``(N, D)``.
        labels: N labels of any type; missing ones (None, NaN, blank) are not judged. Or N lists of
            labels where a row may carry several; see
            `counterpoint.apps.multi_label.reannotate_sets` for what is returned then.
        encoder: what embeds texts or images; see `represent_texts` and `represent_images`.
        judge: settings.
        budget: minutes that all of it may take; with enough of them the text encoder is
            fine-tuned. None judges by frozen embeddings.
        tuning: settings of that.
        on_progress: told how far it is.

    Returns:
        One row an input, in order: ``row``, ``label``, ``credibility`` (probability that the label
        is right), ``flagged``, ``suggested_label`` (the given one unless flagged),
        ``confidence`` (probability that the suggested label is right), ``neighbours`` (rows of the
        nearest 5), ``reason``.

    Raises:
        DataError: inputs or labels that do not fit, or too few of them.
    """
    pandas = require("pandas", "data")
    _check_budget(budget)
    start = time.monotonic()
    if len(inputs) != len(labels):
        raise DataError(f"{len(inputs)} inputs and {len(labels)} labels; one label an input.")
    given = list(labels)
    if any(is_list(value) for value in given):
        if budget is not None:
            warnings.warn(ONLY_FROZEN, stacklevel=2)
        return reannotate_sets(inputs, given, encoder=encoder, judge=judge, on_progress=on_progress)
    classes, numbers = number_classes(given)
    items = list(inputs)
    y = numbers.numpy()
    usable = (y >= 0) & np.array([_full(item) for item in items], dtype=bool)
    if len(classes) < 2:
        raise DataError("labels hold fewer than two classes; there is nothing to compare.")
    rows = np.flatnonzero(usable)
    check_room(len(rows), len(classes))
    judge = judge or Judge()
    full = [items[row] for row in rows]
    z = represent(full, encoder, on_progress=on_progress)
    judgement, about = _judged(full, z, y[rows], judge, encoder, budget, tuning, start, on_progress)
    if about and not about["fine_tuned"]:
        warnings.warn(about["note"], stacklevel=2)
    value = {int(n): v for n, v in zip(y[::-1], reversed(given), strict=True) if n >= 0}
    table = _table(judgement, rows, len(items), classes)
    table["label"] = given
    table["suggested_label"] = [
        own if number is None else value[number]
        for own, number in zip(given, table["suggested_label"], strict=True)
    ]
    frame: pd.DataFrame = pandas.DataFrame(table)
    return frame


def reannotate_corpus(
    corpus: Corpus | MultiLabelCorpus,
    out: str | Path | None = None,
    *,
    encoder: str | None = None,
    judge: Judge | None = None,
    policy: Policy = "gated",
    noise: float = 0.0,
    kind: Noise = "confusable",
    force: bool = False,
    budget: float | None = None,
    tuning: FineTuning | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Judges a corpus, and writes what was found into a folder; the corpus stays as it is.

    Writes ``credibility.parquet`` (the columns of `reannotate`), ``corrections.csv`` (the flagged
    rows, worst first), ``denoised.parquet`` (the owner's columns, corrected by ``policy``),
    ``config.yaml``, and for `counterpoint.apps.review` ``source.parquet`` (the owner's columns as
    judged), ``embeddings.npy`` (float16 ``(N, D)``) and, where pictures are no files,
    ``pictures.parquet``; each file whole or not at all.

    Args:
        corpus: see `counterpoint.data.corpus.read_corpus`; where rows carry several labels, see
            `counterpoint.apps.multi_label.reannotate_marks`.
        out: folder to write to; None writes nothing.
        encoder: what embeds; None for the default of the kind of data.
        judge: settings.
        policy: ``"gated"`` changes flagged labels whose suggestion is right with a probability of
            at least 0.5; ``"all"`` gives every row its most probable label; ``"drop"`` leaves out
            flagged rows. Rows of test splits, and of classes too small to judge, stay as they are.
        noise: share of labels to change first, for a demonstration; the given ones become the
            truth.
        kind: kind of that noise.
        force: change rows of test splits as well.
        budget: minutes for embedding and judging; with enough of them the text encoder is
            fine-tuned, see `counterpoint.curation.cross_fitting`. None judges by frozen
            embeddings.
        tuning: settings of that.
        on_progress: told how far it is.

    Returns:
        Plain JSON values; ``proof`` only where the corpus carries the truth.

    Raises:
        DataError: nothing can be judged.
        SettingError: a setting out of range, or a folder that cannot be written.
    """
    if policy not in get_args(Policy):
        raise unknown_name("policy", policy, get_args(Policy))
    _check_budget(budget)
    folder = Path(out) if out is not None else None
    if folder is not None:
        check_writable(folder)
    if isinstance(corpus, MultiLabelCorpus):
        result = reannotate_marks(
            corpus,
            folder,
            encoder=encoder,
            judge=judge,
            policy=policy,
            noise=noise,
            force=force,
            budget=budget,
            on_progress=on_progress,
        )
        return result | {"encoder": encoder or DEFAULT_ENCODERS[corpus.kind]}
    judge = judge or Judge()
    start = time.monotonic()
    rows = np.flatnonzero(corpus.usable)
    check_room(len(rows), len(corpus.classes))
    items = [corpus.items[row] for row in rows.tolist()]
    z = represent(items, encoder, images=corpus.kind == "images", on_progress=on_progress)
    embedded = time.monotonic()
    if noise:
        corpus = _with_noise(corpus, rows, z, noise, kind, judge.seed)
    judgement, about = _judged(
        items, z, corpus.labels[rows], judge, encoder, budget, tuning, start, on_progress
    )
    judged = time.monotonic()
    free = ~corpus.held[rows] | force
    corrected, kept = applied(judgement, policy, free)
    result = described(corpus, judgement, rows, policy, corrected, kept)
    result["seconds"] = {"embed": embedded - start, "judge": judged - embedded}
    result["encoder"] = encoder or DEFAULT_ENCODERS[corpus.kind]
    if about:
        result["budget"] = about
        result["notes"].append(about["note"])
    if noise:
        result["planted"] = {"share": noise, "kind": kind, "seed": judge.seed}
    if corpus.truth is not None:
        add_proof(result, judgement, corpus.truth[rows], z, free, on_progress)
    result["settings"] = {**asdict(judge), "policy": policy, "budget": budget}
    if folder is not None:
        result["files"] = _written(folder, corpus, judgement, rows, z, corrected, kept, result)
    return result


def _judged(
    items: Sequence[Any],
    z: Any,
    y: Ints,
    judge: Judge,
    encoder: str | None,
    budget: float | None,
    tuning: FineTuning | None,
    start: float,
    on_progress: OnProgress | None,
) -> tuple[Judgement, dict[str, Any]]:
    """The judgement, fine-tuned in what is left of the budget, and what to say of that."""
    judgement = judge.judge(z, y, same_content(items), on_progress)
    if budget is None:
        return judgement, {}
    return fine_tuned(
        judgement,
        items,
        z,
        encoder=encoder,
        judge=judge,
        tuning=tuning or FineTuning(),
        minutes=budget,
        seconds=60 * budget - (time.monotonic() - start),
        on_progress=on_progress,
    )


def judge_from(settings: Mapping[str, Any]) -> Judge:
    """A `Judge` from flat names: its own settings and those of its `Corrector`.

    Raises:
        SettingError: an unknown name, or a value of the wrong type or range.
    """
    own, inner = Judge.__dataclass_fields__, Corrector.__dataclass_fields__
    for name, value in settings.items():
        known = {**own, **inner}
        if name not in known or name == "corrector":
            raise unknown_name("setting", name, {*own, *inner} - {"corrector"})
        wanted = type(known[name].default)
        right = isinstance(value, (int, float) if wanted is float else wanted)
        if not right or (isinstance(value, bool) and wanted is not bool):
            raise SettingError(f"{name} must be of type {wanted.__name__}; got {value!r}.")
    corrector = Corrector(**{name: value for name, value in settings.items() if name in inner})
    outer = {name: value for name, value in settings.items() if name in own}
    return Judge(**outer, corrector=corrector)


def _check_budget(minutes: float | None) -> None:
    if minutes is not None and not 0 < minutes < math.inf:
        raise SettingError(f"budget must be a number of minutes above 0; got {minutes}.")


def _full(item: Any) -> bool:
    return item is not None and (not isinstance(item, str) or bool(item.strip()))


def _with_noise(corpus: Corpus, rows: Ints, z: Any, share: float, kind: Noise, seed: int) -> Corpus:
    labels = corpus.labels.copy()
    labels[rows] = plant(corpus.labels[rows], share, kind, embeddings=z, seed=seed)
    return corpus.with_labels(labels, corpus.labels)


def _table(
    judgement: Judgement, rows: Ints, count: int, classes: Sequence[str]
) -> dict[str, list[Any]]:
    """The columns of the result; labels as class numbers, None where nothing was judged."""
    first = np.full(int(judgement.group.max()) + 1, count)
    np.minimum.at(first, judgement.group, rows)
    near = first[judgement.near.index[:, :SHOWN_NEIGHBOURS]]
    table: dict[str, list[Any]] = {
        "row": list(range(count)),
        "label": [None] * count,
        "credibility": [1 - judgement.noise_share] * count,
        "flagged": [False] * count,
        "suggested_label": [None] * count,
        "confidence": [1 - judgement.noise_share] * count,
        "neighbours": [[] for _ in range(count)],
        "reason": ["not judged: content or label is missing"] * count,
    }
    columns = {
        "label": judgement.labels,
        "credibility": judgement.credibility,
        "flagged": judgement.flagged,
        "suggested_label": judgement.suggested,
        "confidence": judgement.confidence,
        "neighbours": near[judgement.group],
    }
    for name, values in columns.items():
        for row, value in zip(rows.tolist(), values.tolist(), strict=True):
            table[name][row] = value
    for row, reason in zip(rows.tolist(), reasons(judgement, classes), strict=True):
        table["reason"][row] = reason
    return table


def _written(
    folder: Path,
    corpus: Corpus,
    judgement: Judgement,
    rows: Ints,
    z: NDArray[Any],
    corrected: Ints,
    kept: NDArray[np.bool_],
    result: dict[str, Any],
) -> dict[str, str]:
    arrow = require("pyarrow", "data")
    parquet = require("pyarrow.parquet", "data")
    csv = require("pyarrow.csv", "data")
    table = _table(judgement, rows, len(corpus), corpus.classes)
    named = [None if n < 0 else corpus.classes[n] for n in corpus.labels.tolist()]
    table["suggested_label"] = [
        own if n is None else corpus.classes[n]
        for own, n in zip(named, table["suggested_label"], strict=True)
    ]
    table["label"] = named
    credibility = arrow.table({name: table[name] for name in COLUMNS})
    labels = corpus.labels.copy()
    labels[rows] = corrected
    every = np.ones(len(corpus), dtype=bool)
    every[rows] = kept
    at = corpus.table.column_names.index(corpus.label)
    denoised = corpus.table.set_column(at, corpus.label, relabelled(corpus, labels))
    settings = {"data": corpus.name, "encoder": result["encoder"], **result["settings"]}
    worst = credibility.take(arrow.array(rows[worst_first(judgement)]))
    near = [" ".join(map(str, value)) for value in worst["neighbours"].to_pylist()]
    worst = worst.set_column(COLUMNS.index("neighbours"), "neighbours", arrow.array(near))
    if corpus.content:
        worst = worst.append_column(corpus.content, corpus.table[corpus.content].take(worst["row"]))
    writers: dict[str, Callable[[Any], None]] = {
        FOUND: lambda file: parquet.write_table(credibility, file),
        "corrections.csv": lambda file: csv.write_csv(worst, file),
        "denoised.parquet": lambda file: parquet.write_table(denoised.filter(every), file),
        "config.yaml": lambda file: file.write(yaml.safe_dump(settings, sort_keys=False).encode()),
        **review_files(corpus, rows, z),
    }
    for name, write in writers.items():
        write_whole(folder / name, write)
    return {name: str(folder / name) for name in writers}
