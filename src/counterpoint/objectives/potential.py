"""Gaussian potentials between rows, what measures and losses of uniformity are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from counterpoint.engine.rows import softmax_rows
from counterpoint.engine.terms import Terms


def log_sum_potential(x: Tensor, y: Tensor, t: float, *, own: bool = False) -> Tensor:
    """``log sum_ij exp(-t ||x_i - y_j||^2)``, without holding N x N numbers.

    Where two rows coincide their pair has no gradient, as the squared distance has none.

    Args:
        x: float32 or float64 ``(N, D)``, as they are; N at least 2, or 1 with ``own``.
        y: same dtype and shape; x itself for the potential inside one set.
        t: sharpness, above 0.
        own: whether the pairs ``i = j`` take part.

    Returns:
        ``()``, differentiable.
    """
    anchors, candidates = distance_rows(x, y)
    terms = Terms(excluded=() if own else (0,))
    return softmax_rows(anchors, candidates, x.new_tensor(2 * t), terms).values.logsumexp(0)


def log_mean_potential(x: Tensor, y: Tensor, t: float) -> Tensor:
    """``log mean_{i != j} exp(-t ||x_i - y_j||^2)``; arguments as `log_sum_potential`."""
    return log_sum_potential(x, y, t) - math.log(len(x) * (len(x) - 1))


def distance_rows(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose inner products are ``-||x_i - y_j||^2 / 2``.

    Args:
        x: ``(N, D)``.
        y: ``(M, D)``; x itself for the distances inside one set.

    Returns:
        ``(N, D + 2)`` and ``(M, D + 2)``.
    """
    middle = x.detach().mean(0)  # distances stay, their rounding error shrinks
    anchors = x - middle
    candidates = anchors if y is x else y - middle
    half, other = (-0.5 * z.square().sum(1, keepdim=True) for z in (anchors, candidates))
    rows = torch.cat([anchors, half, torch.ones_like(half)], 1)
    return rows, torch.cat([candidates, torch.ones_like(other), other], 1)
