"""Rows of one class are positives of each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.engine.ranks import peer_rows, total_over_ranks

UNKNOWN = -1
"""The label of a row whose class is not known; it has no positives."""


@dataclass(frozen=True)
class SameLabel:
    """``positive(i, j)``: anchor and candidate have the same known label.

    Args:
        anchor_labels: int64 ``(N,)``, -1 where unknown.
        candidate_labels: int64 ``(M,)``; None for the anchors themselves, and then no row is its
            own positive.
    """

    anchor_labels: Tensor
    candidate_labels: Tensor | None = None

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        other = self.anchor_labels if self.candidate_labels is None else self.candidate_labels
        label = self.anchor_labels[i]
        same = (label == other[j]) & (label != UNKNOWN)
        return same & (i != j) if self.candidate_labels is None else same

    def attraction(self, candidates: Tensor, across_ranks: bool = False) -> tuple[Tensor, Tensor]:
        """Mean positive of every anchor ``(N, D)``, and whether it has one ``(N,)``.

        Args:
            candidates: ``(M, D)``; its gradient flows through the class sums.
            across_ranks: the candidates of all ranks count.
        """
        own = self.candidate_labels is None
        labels = self.anchor_labels if self.candidate_labels is None else self.candidate_labels
        both = torch.cat([self.anchor_labels, labels])
        classes = torch.unique(peer_rows(both) if across_ranks else both)
        anchor_class = torch.searchsorted(classes, self.anchor_labels)
        candidate_class = torch.searchsorted(classes, labels)
        sums = candidates.new_zeros(len(classes), candidates.shape[1])
        sums = sums.index_add(0, candidate_class, candidates)
        counts = torch.bincount(candidate_class, minlength=len(classes))
        if across_ranks:
            sums, counts = total_over_ranks(sums), total_over_ranks(counts)
        total, count = sums.index_select(0, anchor_class), counts[anchor_class].to(candidates.dtype)
        if own:
            total, count = total - candidates, count - 1
        counted = (count > 0) & (self.anchor_labels != UNKNOWN)
        weight = torch.where(counted, 1 / count.clamp(min=1), 0.0)
        return total * weight[:, None], counted
