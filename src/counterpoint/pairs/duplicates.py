"""Rows that show the same thing are never each other's negatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.engine.ranks import peer_rows

NO_ID = torch.iinfo(torch.int64).min
"""The id of a candidate that is nobody's duplicate."""


@dataclass(frozen=True)
class NotDuplicates:
    """``valid(i, j)``: two rows have different ids, or belong together all the same.

    Args:
        anchor_ids: int64 ``(N,)``; equal ids mark duplicates.
        candidate_ids: int64 ``(M,)``.
        anchor_keys: int64 ``(N,)``; None where nothing is an exception.
        candidate_keys: int64 ``(M,)``; where the keys are equal (two views of one sample, one
            class) the pair stays valid.
    """

    anchor_ids: Tensor
    candidate_ids: Tensor
    anchor_keys: Tensor | None = None
    candidate_keys: Tensor | None = None

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        differ = self.anchor_ids[i] != self.candidate_ids[j]
        if self.anchor_keys is None or self.candidate_keys is None:
            return differ
        return differ | (self.anchor_keys[i] == self.candidate_keys[j])

    def over_ranks(self) -> NotDuplicates:
        """The same for the rows of all ranks."""
        return NotDuplicates(
            peer_rows(self.anchor_ids),
            peer_rows(self.candidate_ids),
            None if self.anchor_keys is None else peer_rows(self.anchor_keys),
            None if self.candidate_keys is None else peer_rows(self.candidate_keys),
        )
