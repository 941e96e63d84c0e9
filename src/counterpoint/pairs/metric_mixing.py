"""Pairs of a positive and a negative, or of an anchor and a negative, that Metrix mixes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.pairs.same_label import UNKNOWN


class MixedPairs(NamedTuple):
    """A list of mixtures, int64 ``(T,)`` each: of ``first`` and ``second``, seen by ``anchor``."""

    anchor: Tensor
    first: Tensor
    second: Tensor


def positive_negative_pairs(labels: Tensor, *, first_positive_only: bool = False) -> MixedPairs:
    """Every positive of an anchor with every negative of it; none of anchors without a positive.

    Args:
        labels: int64 ``(N,)``.
        first_positive_only: repeat the first positive in place of the others, as the released code
            does.

    Source: Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990.
    """
    labels = check_integers("labels", labels, len(labels))
    lists = []
    for i in range(len(labels)):
        same = labels == labels[i]
        negatives = (~same).nonzero().flatten()
        same[i] = False
        positives = same.nonzero().flatten()
        if first_positive_only:
            positives = positives[:1].expand(len(positives))
        pairs = torch.cartesian_prod(positives, negatives).reshape(-1, 2)
        lists.append(torch.cat([torch.full_like(pairs[:, :1], i), pairs], 1))
    return MixedPairs(*torch.cat(lists).T)


def anchor_negative_pairs(labels: Tensor) -> MixedPairs:
    """Every anchor that has no positive with each of its negatives; the anchor is the first.

    Args:
        labels: int64 ``(N,)``.

    Source: Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990.
    """
    labels = check_integers("labels", labels, len(labels))
    _, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    lonely = (counts[place] == 1).nonzero().flatten()
    lists = [
        torch.stack([torch.full_like(n, int(i)), torch.full_like(n, int(i)), n])
        for i in lonely
        for n in [(labels != labels[i]).nonzero().flatten()]
    ]
    empty = labels.new_zeros(3, 0)
    return MixedPairs(*torch.cat([empty, *lists], 1))


def prototype_pairs(labels: Tensor) -> MixedPairs:
    """Every two samples of different classes, as the prototype of the first one's class sees them.

    Args:
        labels: int64 ``(N,)``; -1 takes no part.

    Source: Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990.
    """
    labels = check_integers("labels", labels, len(labels))
    known = labels != UNKNOWN
    different = (labels[:, None] != labels) & known[:, None] & known
    first, second = different.nonzero().T
    return MixedPairs(labels[first], first, second)
