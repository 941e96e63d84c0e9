"""Why a label is believed or not, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from counterpoint.curation.judge import Judgement
from counterpoint.curation.neighbour_search import slices
from counterpoint.probes.inputs import Floats

LONGEST_NAME = 40


def reasons(judgement: Judgement, classes: Sequence[str]) -> list[str]:
    """One sentence a row.

    Args:
        judgement: of N rows.
        classes: class names by number.
    """
    total = judgement.near.index.shape[1]
    suggested, best = judgement.suggested, judgement.best
    size = np.bincount(judgement.labels, minlength=len(classes))
    out: list[str] = []
    given = judgement.labels.tolist()
    for row, (label, votes) in enumerate(zip(given, _counted(judgement), strict=True)):
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


def _counted(judgement: Judgement) -> Iterator[Floats]:
    """How many neighbours of each row carry each label, ``(C,)`` a row."""
    for part in slices(len(judgement.group), 4096):
        near = judgement.near.index[judgement.group[part]]
        yield from judgement.said[near].sum(axis=1)


def classes_name(classes: Sequence[str], label: int) -> str:
    """The name of a class in quotes, shortened."""
    name = classes[label]
    return f"“{name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'}”"
