"""Softmax and log-sum-exp of some of the entries of a row, defined where there are none."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_softmax(logits: Tensor, kept: Tensor) -> Tensor:
    """Softmax over the kept entries of the last dimension, 0 elsewhere; all 0 if none is kept.

    Args:
        logits: float ``(..., M)``.
        kept: bool, broadcasts to ``(..., M)``.
    """
    low = torch.finfo(logits.dtype).min
    return logits.masked_fill(~kept, low).softmax(-1).where(kept, 0.0)


def log_sum_with_zero(logits: Tensor, kept: Tensor | None = None) -> Tensor:
    """``log(1 + sum_j exp(x_j))``, the log-sum-exp over {0} and a set; 0 for the empty set.

    Args:
        logits: float ``(..., M)``.
        kept: bool ``(..., M)``, the members of the set; None for all.

    Returns:
        ``(...)``, never below 0; its gradient has an L1 norm below 1.
    """
    if kept is not None:
        logits = logits.masked_fill(~kept, -torch.inf)
    return torch.cat([logits, logits.new_zeros((*logits.shape[:-1], 1))], -1).logsumexp(-1)


def masked_log_sum(logits: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """``log sum_j exp(x_j)`` over the kept entries, and whether there are any.

    Args:
        logits: float ``(..., M)``.
        kept: bool, broadcasts to ``(..., M)``.

    Returns:
        ``(...)`` float, finite also where nothing is kept, and ``(...)`` bool.
    """
    low = torch.finfo(logits.dtype).min
    return logits.masked_fill(~kept, low).logsumexp(-1).clamp(min=low), kept.any(-1)


def log_sums_with_zero(logits: Tensor, groups: Tensor, count: int) -> Tensor:
    """``log(1 + sum_{t in g} exp(x_t))`` of every group g; 0 for an empty one.

    Args:
        logits: float ``(T,)``; ``-inf`` adds nothing.
        groups: int64 ``(T,)``, in 0 .. count - 1.
        count: number of groups.

    Returns:
        ``(count,)``, never below 0.
    """
    top = logits.new_zeros(count).scatter_reduce(0, groups, logits.detach(), "amax")
    shifted = (logits - top[groups]).exp()
    return top + (-top).exp().index_add(0, groups, shifted).log()
