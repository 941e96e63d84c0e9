"""Pairs within groups, or between them (domains, batches of origin, languages)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """``valid(i, j)``: anchor and candidate are of one group, or of different ones.

    Args:
        anchor_groups: int64 ``(N,)``.
        candidate_groups: int64 ``(M,)``.
        within: keep the pairs of one group; else those of different groups.
    """

    anchor_groups: Tensor
    candidate_groups: Tensor
    within: bool = True

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        same = self.anchor_groups[i] == self.candidate_groups[j]
        return same if self.within else ~same
