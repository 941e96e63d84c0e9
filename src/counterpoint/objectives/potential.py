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
    middle = x.detach().mean(0)  # distances stay, their rounding error shrinks
    anchors, candidates = x - middle, y - middle
    half = [-0.5 * z.square().sum(1, keepdim=True) for z in (anchors, candidates)]
    ones = torch.ones_like(half[0])
    sums = softmax_rows(
        torch.cat([anchors, half[0], ones], 1),
        torch.cat([candidates, ones, half[1]], 1),
        x.new_tensor(2 * t),  # row . column is -||x_i - y_j||^2 / 2
        Terms(excluded=() if own else (0,)),
    )
    return sums.values.logsumexp(0)


def log_mean_potential(x: Tensor, y: Tensor, t: float) -> Tensor:
    """``log mean_{i != j} exp(-t ||x_i - y_j||^2)``; arguments as `log_sum_potential`."""
    return log_sum_potential(x, y, t) - math.log(len(x) * (len(x) - 1))
