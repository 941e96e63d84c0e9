"""What a ready description of pairs offers beyond a bare function of positions."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Attraction(Protocol):
    """Positives whose mean is known without looking at pairs.

    The pull of the positives is linear in the similarities, ``sum_j t_ij <a_i, c_j> =
    <a_i, sum_j t_ij c_j>``, so that their weighted mean is all that is needed.
    """

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        """Weight of positions ``i`` (b, 1) and ``j`` (1, m) as positives, bool or float."""
        ...

    def attraction(self, candidates: Tensor, across_ranks: bool = False) -> tuple[Tensor, Tensor]:
        """``sum_j t_ij c_j / sum_j t_ij`` ``(N, D)``, and which anchors have a positive ``(N,)``.

        Args:
            candidates: ``(M, D)``; the gradient flows through them.
            across_ranks: the candidates of all ranks count.
        """
        ...
