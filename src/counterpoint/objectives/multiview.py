"""Several views of every sample as rows, view by view."""

from __future__ import annotations

from torch import Tensor

from counterpoint.errors import DataError


def view_rows(features: Tensor) -> tuple[Tensor, int]:
    """Rows ``(V B, D)``, all samples of view 1 first, and V.

    Args:
        features: ``(B, V, D)``, or ``(N, D)`` for one view.

    Raises:
        DataError: another shape.
    """
    if features.dim() == 2:
        return features, 1
    if features.dim() != 3:
        raise DataError(f"features must be (N, D) or (B, V, D), got {tuple(features.shape)}.")
    return features.transpose(0, 1).reshape(-1, features.shape[2]), features.shape[1]
