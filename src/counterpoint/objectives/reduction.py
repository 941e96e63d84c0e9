"""From one loss a row to what is returned."""

from __future__ import annotations

from torch import Tensor

from counterpoint.engine.checks import check_reduction
from counterpoint.engine.terms import Reduction


def reduce(loss: Tensor, reduction: Reduction, counted: Tensor | None = None) -> Tensor:
    """Mean or sum over the rows that count, or every row's own value.

    Args:
        loss: ``(N,)``; rows that do not count are taken to be 0.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        counted: bool ``(N,)``, the rows that count; None counts all.

    Returns:
        ``()``, or ``(N,)``. Without any row that counts: 0, with a gradient of 0.

    Raises:
        SettingError: unknown reduction.
    """
    check_reduction(reduction)
    if counted is not None:
        loss = loss.where(counted, 0.0)
    if reduction == "none":
        return loss
    total = loss.sum()
    if reduction == "sum":
        return total
    return total / max(loss.numel() if counted is None else int(counted.sum()), 1)
