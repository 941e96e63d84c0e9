"""How evenly embeddings cover the sphere."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from counterpoint.errors import SettingError
from counterpoint.geometry.inputs import rows, unit_rows


def uniformity(x: Any, t: float = 2.0, normalize: bool = True) -> Tensor:
    """Log mean Gaussian potential of distinct pairs: ``log mean_{i<j} exp(-t ||x_i - x_j||^2)``.

    Lower is more uniform: 0 when all points coincide, about ``-2t`` for many points spread evenly
    in many dimensions, never below ``-2t N/(N-1)`` on the sphere. Its negative is often plotted.

    The same as ``torch.pdist(x).square().mul(-t).exp().mean().log()``, without holding N x N
    numbers, forward or backward.

    Args:
        x: embeddings ``(N, D)``, at least two rows, finite floats.
        t: sharpness of the potential, above 0.
        normalize: divide every row by its length first; False takes ``x`` as it is.

    Returns:
        A scalar (float64 for float64 input, else float32), differentiable.

    Raises:
        DataError: one row, non-finite values, or a zero vector to be normalised.
        SettingError: ``t`` is not above 0.

    Source: Wang and Isola, ICML 2020, Sec. 4.1; Wang and Liu, "Understanding the Behaviour of
    Contrastive Loss", CVPR 2021, Eq. 10 (which plots the negative).
    """
    if not t > 0:
        raise SettingError(f"t must be above 0, got {t}.")
    z = unit_rows(x, "x") if normalize else rows(x, "x")
    z = z - z.detach().mean(dim=0)  # distances stay, their rounding error shrinks
    count = z.shape[0]
    parts = [
        checkpoint(_log_potential, z[start : start + _BLOCK], z[start:], t, use_reentrant=False)
        for start in range(0, count - 1, _BLOCK)
    ]
    total: Tensor = torch.stack(parts).logsumexp(dim=0)
    return total - math.log(count * (count - 1) / 2)


_BLOCK = 512


def _log_potential(block: Tensor, rest: Tensor, t: float) -> Tensor:
    """Log sum over pairs of a block's row r and any later row of ``rest`` (which starts at it)."""
    squared = (
        block.square().sum(dim=1, keepdim=True)
        + rest.square().sum(dim=1)
        - 2 * block @ rest.transpose(0, 1)
    )
    later = torch.ones_like(squared, dtype=torch.bool).triu(diagonal=1)
    return (-t * squared.clamp(min=0)).masked_fill(~later, -math.inf).flatten().logsumexp(dim=0)
