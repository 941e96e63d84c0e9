"""What a geometry measure accepts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.errors import DataError


def rows(x: Any, name: str, at_least: int = 2) -> Tensor:
    """``x`` as a finite matrix ``(N, D)``, at least ``at_least`` rows, float32 or float64."""
    z = torch.as_tensor(x)
    if z.ndim != 2:
        raise DataError(f"{name} must be a matrix (N, D), one embedding a row; got {_shape(z)}.")
    if z.dtype not in (torch.float32, torch.float64):
        z = z.float()
    if z.shape[0] < at_least:
        raise DataError(f"{name} has {z.shape[0]} rows; this measure needs at least {at_least}.")
    bad = (~torch.isfinite(z.detach())).any(dim=1).nonzero().flatten()
    if len(bad):
        raise DataError(
            f"{name} has NaN or infinite values in {len(bad)} of {z.shape[0]} rows, "
            f"the first in row {int(bad[0])}. Did training diverge?"
        )
    return z


def unit_rows(x: Any, name: str, at_least: int = 2) -> Tensor:
    """``x`` checked as by `rows`, each row divided by its length; zero vectors are refused."""
    z = rows(x, name, at_least)
    zero = (z.detach() == 0).all(dim=1).nonzero().flatten()
    if len(zero):
        raise DataError(
            f"{name} has {len(zero)} zero vectors, the first in row {int(zero[0])}: they have no "
            "direction and would distort the measure. Leave them out, or look for a dead layer."
        )
    largest = (
        z.detach().abs().amax(dim=1, keepdim=True)
    )  # squares of tiny or huge values stay finite
    return functional.normalize(z / largest, dim=1)


def class_labels(y: Any, count: int, device: torch.device, name: str = "labels") -> Tensor:
    """Labels ``(N,)`` as int64; -1 marks a missing one."""
    labels = torch.as_tensor(y, device=device)
    if labels.shape != (count,):
        raise DataError(f"{name} must have shape ({count},), one a row; got {_shape(labels)}.")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise DataError(f"{name} must be whole numbers; got {labels.dtype}.")
    return labels.long()


def _shape(x: Tensor) -> str:
    return str(tuple(x.shape))
