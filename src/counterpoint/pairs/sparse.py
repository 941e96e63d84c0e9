"""A list of pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError


class SparsePairs:
    """``positive(i, j)``: the weight of the pair in a list, 0 where it is not listed.

    Args:
        anchors: position of each pair's anchor, int64 ``(P,)``.
        candidates: position of its candidate, int64 ``(P,)``.
        shape: how many anchors and candidates there are.
        weights: non-negative float ``(P,)``; 1 if None. A pair listed twice counts with both.

    Raises:
        DataError: a position out of range, or lists of different length.
    """

    def __init__(
        self,
        anchors: Tensor,
        candidates: Tensor,
        shape: tuple[int, int],
        weights: Tensor | None = None,
    ) -> None:
        pairs = len(anchors)
        self.shape = shape
        self.anchors = _positions("anchors", anchors, pairs, shape[0])
        self.candidates = _positions("candidates", candidates, pairs, shape[1])
        ones = torch.ones(pairs, device=anchors.device)
        self.weights = ones if weights is None else weights
        if self.weights.shape != (pairs,):
            raise DataError(f"weights must have shape ({pairs},), not {tuple(self.weights.shape)}.")
        listed = self.anchors * shape[1] + self.candidates
        self._keys, place = torch.unique(listed, return_inverse=True)
        self._sums = self.weights.new_zeros(len(self._keys)).index_add(0, place, self.weights)

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        wanted = i * self.shape[1] + j
        if not len(self._keys):
            return torch.zeros_like(wanted, dtype=self._sums.dtype)
        place = torch.searchsorted(self._keys, wanted).clamp_(max=len(self._keys) - 1)
        return torch.where(self._keys[place] == wanted, self._sums[place], 0.0)

    def attraction(self, candidates: Tensor, across_ranks: bool = False) -> tuple[Tensor, Tensor]:
        """Weighted mean of the listed candidates of every anchor, and whether it has any.

        Raises:
            DataError: with ``across_ranks``, for the list knows the positions of one process.
        """
        if across_ranks:
            raise DataError("A list of pairs holds positions of one process; give a function.")
        weights = self.weights.to(candidates.dtype)
        mass = weights.new_zeros(self.shape[0]).index_add(0, self.anchors, weights)
        pulled = candidates[self.candidates] * weights[:, None]
        total = candidates.new_zeros(self.shape[0], candidates.shape[1])
        total = total.index_add(0, self.anchors, pulled)
        counted = mass > 0
        return total * torch.where(counted, 1 / mass, 0.0)[:, None], counted


def _positions(name: str, values: Tensor, pairs: int, rows: int) -> Tensor:
    values = check_integers(name, values, pairs)
    if bool(((values < 0) | (values >= rows)).any()):
        raise DataError(f"{name} must hold positions from 0 to {rows - 1}.")
    return values
