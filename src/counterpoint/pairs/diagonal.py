"""Row i belongs to candidate i."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Diagonal:
    """``positive(i, j)``: ``i == j``."""

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        return i == j

    def attraction(self, candidates: Tensor, across_ranks: bool = False) -> tuple[Tensor, Tensor]:
        """The candidates themselves; on each rank row i belongs to its own candidate i."""
        return candidates, torch.ones_like(candidates[:, 0], dtype=torch.bool)


def not_self(i: Tensor, j: Tensor) -> Tensor:
    """``valid(i, j)`` where anchors and candidates are the same rows: all but the row itself."""
    return i != j
