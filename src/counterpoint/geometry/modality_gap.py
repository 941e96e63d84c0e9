"""How far apart the embeddings of two modalities lie as wholes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from counterpoint.errors import DataError
from counterpoint.geometry.inputs import rows, unit_rows


def centroid_distance(x: Any, y: Any, normalize: bool = True) -> Tensor:
    """``||mean_i x_i - mean_j y_j||``: 0 is no gap, 2 the largest on the sphere.

    Args:
        x: embeddings ``(N, D)`` of one modality, finite floats.
        y: embeddings ``(M, D)`` of the other.
        normalize: divide every row by its length first.

    Returns:
        A scalar, differentiable where it is not 0.

    Raises:
        DataError: widths differ, no row, non-finite values, or a zero vector to be normalised.

    Source: Fahim et al. 2024, It's Not a Modality Gap, arXiv 2405.18570, authors' code.
    """
    prepare = unit_rows if normalize else rows
    a, b = prepare(x, "x", at_least=1), prepare(y, "y", at_least=1)
    if a.shape[1] != b.shape[1]:
        raise DataError(f"x has width {a.shape[1]} and y has width {b.shape[1]}.")
    distance: Tensor = (a.mean(0) - b.mean(0)).norm()
    return distance
