"""How many dimensions embeddings really use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import DataError
from counterpoint.geometry.inputs import rows, unit_rows


def effective_rank(x: Any, center: bool = False, normalize: bool = True) -> Tensor:
    """Exponential of the entropy of the normalised singular values.

    ``exp(-sum_i p_i log p_i)`` with ``p_i = s_i / sum_j s_j``, ``s`` the singular values of ``x``
    (of ``x`` minus its column means with ``center``), ``0 log 0 = 0``. Between 1 (every row on one
    line) and min(N, D) (all directions equally strong).

    Args:
        x: embeddings ``(N, D)``, finite floats.
        center: subtract the column means (after normalising).
        normalize: divide every row by its length first; False takes ``x`` as it is.

    Returns:
        A scalar, differentiable where the singular values differ.

    Raises:
        DataError: no row, non-finite values, a zero vector to be normalised, or nothing but zeros
            (after centring: equal rows).

    Source: Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO
    2007, Def. 1.
    """
    z = (unit_rows if normalize else rows)(x, "x", at_least=1)
    values = torch.linalg.svdvals(z - z.mean(dim=0) if center else z)
    total = values.sum()
    if not total > 0:
        raise DataError("All rows are zero (or, centred, equal), so there is no effective rank.")
    terms: Tensor = torch.special.entr(values / total)
    return terms.sum().exp()
