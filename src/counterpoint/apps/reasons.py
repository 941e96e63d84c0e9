"""Why a label is believed or not, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from counterpoint.curation.judge import Judgement
from counterpoint.curation.neighbour_search import slices
from counterpoint.probes.inputs import Floats, Ints

LONGEST_NAME = 40


def reasons(judgement: Judgement, classes: Sequence[str], rows: Ints | None = None) -> list[str]:
    """One sentence a row.

    Args:
        judgement: of N rows.
        classes: class names by number.
        rows: the ones to speak of, int64 ``(M,)``; None for all in order.
    """
    rows = np.arange(len(judgement.labels)) if rows is None else rows
    total = judgement.near.index.shape[1]
    suggested, best = judgement.suggested, judgement.best
    size = np.bincount(judgement.labels, minlength=len(classes))
    out: list[str] = []
    for row, votes in zip(rows.tolist(), _counted(judgement, rows), strict=True):
        label = int(judgement.labels[row])
        p = judgement.probabilities[row]
        own = classes_name(classes, label)
        if judgement.twins.conflicting[row]:
            share = judgement.twins.share[row]
            said = f"the same content carries other labels ({own} in {share:.0%} of its rows)"
        elif judgement.undecidable[row]:
            said = f"undecidable: the only row of {own}, or one without direction"
        elif judgement.flagged[row]:
            other = int(suggested[row])
            said = (
                f"{votes[other]:.0f} of {total} neighbours are {classes_name(classes, other)} and "
                f"{votes[label]:.0f} are {own}; together with the corrector "
                f"{p[other]:.0%} against {p[label]:.0%}"
            )
            if judgement.habits[other, label] > 0:
                said += f"; {classes_name(classes, other)} is often labelled {own}, clear cases too"
        elif judgement.rare[row]:
            said = f"protected: {own} has only {size[label]} rows"
        elif best[row] != label:
            said = (
                f"doubtful: {classes_name(classes, int(best[row]))} is likelier "
                f"({p[best[row]]:.0%} against {p[label]:.0%}), but not by enough"
            )
        else:
            said = f"{votes[label]:.0f} of {total} neighbours are {own} too"
        out.append(said)
    return out


def _counted(judgement: Judgement, rows: Ints) -> Iterator[Floats]:
    """How many neighbours of each row carry each label, ``(C,)`` a row."""
    for part in slices(len(rows), 4096):
        near = judgement.near.index[judgement.group[rows[part]]]
        yield from judgement.said[near].sum(axis=1)


def classes_name(classes: Sequence[str], label: int) -> str:
    """The name of a class in quotes, shortened."""
    name = classes[label]
    return f"“{name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'}”"
