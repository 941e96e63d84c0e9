"""Items that say the same thing, and what their labels say about each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterpoint.probes.inputs import Ints

Pair = tuple[int, int, float]


def same_content(items: Sequence[Any]) -> Ints:
    """Numbers the items by content: equal numbers for equal content, in order of first sight.

    Texts are compared without regard to case and white space, arrays byte by byte.

    Args:
        items: N texts or arrays.

    Returns:
        int64 ``(N,)``, from 0 without gaps.
    """
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(_key(item), len(seen)) for item in items], dtype=np.int64)


def plain_text(text: str) -> str:
    """A text without regard to case and white space."""
    return " ".join(text.split()).casefold()


def _key(item: Any) -> Hashable:
    if isinstance(item, str):
        return plain_text(item)
    array = np.ascontiguousarray(item)
    return array.shape, array.dtype.str, array.tobytes()


@dataclass(frozen=True)
class Conflict:
    """Labels within groups of equal content.

    Attributes:
        conflicting: bool ``(N,)``, whether the row's group carries more than one label.
        share: float ``(N,)``, part of the row's group with the row's label.
        stands: bool ``(N,)``, whether the row's label is the group's most frequent one; of equally
            frequent ones the one with the highest ``evidence`` stands.
    """

    conflicting: np.ndarray[Any, np.dtype[np.bool_]]
    share: np.ndarray[Any, np.dtype[np.float64]]
    stands: np.ndarray[Any, np.dtype[np.bool_]]


def conflicts(group: Ints, labels: Ints, evidence: np.ndarray[Any, Any]) -> Conflict:
    """Finds equal items with different labels.

    Args:
        group: int64 ``(N,)``, equal for items of equal content, from 0 without gaps.
        labels: int64 ``(N,)``.
        evidence: ``(N,)`` in [0, 1], how well something else supports the row's label.
    """
    pairs, member = np.unique(np.stack([group, labels], 1), axis=0, return_inverse=True)
    member = member.reshape(-1)
    count = np.bincount(member)
    size = np.bincount(group)
    support = np.zeros(len(pairs))
    np.maximum.at(support, member, evidence)
    order = np.lexsort((-support, -count, pairs[:, 0]))
    first = np.r_[True, np.diff(pairs[order, 0]) > 0]
    stands = np.zeros(len(pairs), dtype=bool)
    stands[order[first]] = True
    share = count[member] / size[group]
    return Conflict(share < 1, share, stands[member])


def near_pairs(
    similarity: np.ndarray[Any, Any], index: Ints, least: float = 0.95, most: int = 200
) -> list[Pair]:
    """Pairs of different rows that are almost the same, the most similar first.

    Args:
        similarity: cosine of each row to its neighbours ``(N, K)``.
        index: rows of the neighbours ``(N, K)``.
        least: smallest cosine that counts.
        most: most pairs to return.
    """
    rows, places = np.nonzero(similarity >= least)
    others, cosine = index[rows, places], similarity[rows, places]
    low, high = np.minimum(rows, others), np.maximum(rows, others)
    order = np.lexsort((high, low, -cosine))
    order = order[low[order] != high[order]][: 2 * most]
    found: dict[tuple[int, int], float] = {}
    for at in order.tolist():
        found.setdefault((int(low[at]), int(high[at])), float(cosine[at]))
    return [(i, j, value) for (i, j), value in list(found.items())[:most]]
