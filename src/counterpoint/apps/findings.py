"""What was found in a corpus, as plain values for the report and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint._version import __version__
from counterpoint.apps.policies import Policy
from counterpoint.apps.reasons import reasons
from counterpoint.apps.shown import shown
from counterpoint.curation.duplicates import near_pairs
from counterpoint.curation.judge import Judgement
from counterpoint.data.corpus import Corpus, Rows
from counterpoint.probes.inputs import Ints

MOST_SHOWN = 200
BLIND_SPOT = (
    "Neighbours see labels that differ from those of similar rows. A mistake that a whole region "
    "or class shares (a wrong guideline, two classes swapped throughout) is consistent and cannot "
    "be seen this way."
)
UNCERTAIN = 5.0
FEW_CLEAR = (
    "The share of wrong labels is uncertain: {sure:.1%} of the labels differ from the judges where "
    "these are surest, {all:.1%} where all rows count. Either the other rows are hard and mostly "
    "rightly labelled, or mistakes sit where classes meet; the labels alone cannot tell which. In "
    "the second case more are wrong than flagged: read the ranking on beyond the flagged ones."
)


def described(
    corpus: Corpus,
    judgement: Judgement,
    rows: Ints,
    policy: Policy,
    corrected: Ints,
    kept: NDArray[np.bool_],
) -> dict[str, Any]:
    """The findings.

    Args:
        corpus: whose labels were judged.
        judgement: of its usable rows.
        rows: their positions in the corpus.
        policy: that was applied.
        corrected: labels after it.
        kept: rows that it keeps.

    Returns:
        Plain JSON values; positions are those of the corpus.
    """
    y, classes = judgement.labels, corpus.classes
    notes = [BLIND_SPOT]
    if corpus.kind == "images":
        notes.append("Unless --encoder is given, images are compared by their pixels.")
    notes += uncertainty(judgement)
    rare = len(np.unique(y[judgement.rare]))
    if rare:
        notes.append(
            f"{rare} of {len(np.unique(y))} classes have too few rows to be judged by neighbours; "
            "they are protected: only equal content with other labels is flagged."
        )
    return {
        **origin(corpus, len(rows), len(np.unique(y))),
        "noise_share": judgement.noise_share,
        "flagged": int(judgement.flagged.sum()),
        "policy": policy,
        "changed": int((corrected != y).sum()),
        "dropped": int((~kept).sum()),
        "agreement": float((judgement.best == y).mean()),
        "classes": _by_class(judgement, classes),
        "confusions": _confusions(judgement, classes),
        "duplicates": _duplicates(corpus, judgement, rows),
        "near_duplicates": _near_duplicates(corpus, judgement, rows),
        "worst": _worst(corpus, judgement, rows),
        "histogram": np.histogram(judgement.credibility, bins=20, range=(0, 1))[0].tolist(),
        "notes": [*notes, *held_notes(corpus)],
    }


def origin(corpus: Rows, judged: int, classes: int) -> dict[str, Any]:
    """What was judged, when, and by which version."""
    return {
        "version": __version__,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "data": {
            "name": corpus.name,
            "kind": corpus.kind,
            "rows": len(corpus),
            "judged": judged,
            "classes": classes,
            "problems": [{"where": p.where, "what": p.what} for p in corpus.problems],
        },
    }


def uncertainty(judgement: Judgement) -> list[str]:
    """Says so where the share of wrong labels is known least.

    That is where the judges differ from more than 5 times as many labels as they would if all
    mistakes were spread as in the rows that they are surest of.
    """
    differ, share = float((judgement.best != judgement.labels).mean()), judgement.noise_share
    return [FEW_CLEAR.format(sure=share, all=differ)] if differ > UNCERTAIN * share else []


def held_notes(corpus: Rows) -> list[str]:
    """Says that rows of a test split stay as they are, where there are any."""
    held = int(corpus.held.sum())
    return [f"{held} rows are of a test split and were not changed."] if held else []


def _by_class(judgement: Judgement, classes: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for label in np.unique(judgement.labels).tolist():
        own = judgement.labels == label
        rows.append(
            {
                "class": classes[label],
                "rows": int(own.sum()),
                "flagged": int(judgement.flagged[own].sum()),
                "expected_wrong": float((1 - judgement.credibility[own]).sum()),
                "protected": bool(judgement.rare[own].any()),
            }
        )
    return rows


def _confusions(judgement: Judgement, classes: Sequence[str]) -> list[dict[str, Any]]:
    given = judgement.labels[judgement.flagged]
    suggested = judgement.suggested[judgement.flagged]
    if not len(given):
        return []
    pairs, count = np.unique(np.stack([given, suggested], 1), axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")[:MOST_SHOWN]
    return [
        {
            "label": classes[pairs[at, 0]],
            "suggested_label": classes[pairs[at, 1]],
            "count": int(count[at]),
        }
        for at in order
    ]


def _duplicates(corpus: Corpus, judgement: Judgement, rows: Ints) -> dict[str, Any]:
    """Contents that carry several labels."""
    mixed = judgement.twins.conflicting
    found = []
    for group in np.unique(judgement.group[mixed])[:MOST_SHOWN].tolist():
        members = np.flatnonzero(judgement.group == group)
        labels, count = np.unique(judgement.labels[members], return_counts=True)
        found.append(
            {
                "rows": rows[members].tolist(),
                "labels": {corpus.classes[n]: int(c) for n, c in zip(labels, count, strict=True)},
                **shown(corpus, int(rows[members[0]])),
            }
        )
    size = np.bincount(judgement.group)
    return {
        "repeated": int((size > 1).sum()),
        "rows": int(size[size > 1].sum()),
        "conflicting": len(np.unique(judgement.group[mixed])),
        "groups": found,
    }


def _near_duplicates(corpus: Corpus, judgement: Judgement, rows: Ints) -> list[dict[str, Any]]:
    first = np.unique(judgement.group, return_index=True)[1]
    found = []
    for i, j, cosine in near_pairs(judgement.near.similarity, judgement.near.index):
        a, b = first[i], first[j]
        if judgement.labels[a] != judgement.labels[b]:
            both = [int(rows[a]), int(rows[b])]
            found.append(
                {
                    "rows": both,
                    "cosine": cosine,
                    "labels": [corpus.classes[judgement.labels[n]] for n in (a, b)],
                    "items": [shown(corpus, row) for row in both],
                }
            )
    return found


def _worst(corpus: Corpus, judgement: Judgement, rows: Ints) -> list[dict[str, Any]]:
    found = []
    worst = worst_first(judgement)[:MOST_SHOWN]
    suggested, confidence = judgement.suggested, judgement.confidence
    said = reasons(judgement, corpus.classes, worst)
    for at, reason in zip(worst.tolist(), said, strict=True):
        found.append(
            {
                "row": int(rows[at]),
                "label": corpus.classes[judgement.labels[at]],
                "suggested_label": corpus.classes[suggested[at]],
                "credibility": float(judgement.credibility[at]),
                "confidence": float(confidence[at]),
                "reason": reason,
                **shown(corpus, int(rows[at])),
            }
        )
    return found


def worst_first(judgement: Judgement) -> Ints:
    """The flagged rows, the least credible first."""
    flagged = np.flatnonzero(judgement.flagged)
    order = np.lexsort((judgement.margin[flagged], judgement.credibility[flagged]))
    worst: Ints = flagged[order]
    return worst
