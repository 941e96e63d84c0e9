"""How evenly embeddings cover the sphere."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from counterpoint.errors import SettingError
from counterpoint.geometry.inputs import rows, unit_rows
from counterpoint.objectives.potential import log_mean_potential


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
    return log_mean_potential(z, z, t)
