"""How close the two views of a sample lie."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry.inputs import rows, unit_rows


def alignment(z1: Any, z2: Any, alpha: float = 2.0, normalize: bool = True) -> Tensor:
    """Mean distance of positive pairs: ``mean_i ||z1_i - z2_i||^alpha``.

    0 is perfect; two independent directions give about 2 at ``alpha=2``.

    Args:
        z1: embeddings ``(N, D)`` of one view, finite floats.
        z2: embeddings ``(N, D)`` of the other view, the same samples in the same order.
        alpha: power of the distance, above 0.
        normalize: divide every row by its length first.

    Returns:
        A scalar, differentiable in both inputs (for ``alpha`` below 1 not where two views agree).

    Raises:
        DataError: shapes differ, no row, non-finite values, or a zero vector to be normalised.
        SettingError: ``alpha`` is not above 0.

    Source: Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", ICML 2020, Sec. 4.1.
    """
    if not alpha > 0:
        raise SettingError(f"alpha must be above 0, got {alpha}.")
    prepare = unit_rows if normalize else rows
    a, b = prepare(z1, "z1", at_least=1), prepare(z2, "z2", at_least=1)
    if a.shape != b.shape:
        raise DataError(
            f"z1 {tuple(a.shape)} and z2 {tuple(b.shape)} must be the two views of the same rows."
        )
    if alpha == 2:
        return (a - b).square().sum(dim=1).mean()
    distance: Tensor = torch.linalg.vector_norm(a - b, dim=1)
    return distance.pow(alpha).mean()
