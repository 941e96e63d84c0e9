"""What a probe accepts: numpy arrays or torch tensors, checked at the door."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def features(z: Any, name: str) -> Floats:
    """``z`` as a finite float64 matrix ``(N, D)`` with at least one row."""
    values = np.asarray(_plain(z), dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(
            f"{name} must be a matrix (N, D) with at least one row; got {values.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(
            f"{name} has NaN or infinite values in {len(bad)} of {len(values)} rows, "
            f"the first in row {bad[0]}. Did training diverge?"
        )
    return values


def class_labels(y: Any, count: int, name: str) -> Ints:
    """``y`` as int64 ``(count,)``, none negative."""
    labels = np.asarray(_plain(y))
    if labels.shape != (count,):
        raise DataError(f"{name} must have shape ({count},), one a row; got {labels.shape}.")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name} must be whole numbers 0, 1, 2, ...; got {labels.dtype}.")
    missing = np.flatnonzero(labels < 0)
    if len(missing):
        raise DataError(
            f"{name} has {len(missing)} negative values (missing labels), the first in row "
            f"{missing[0]}. Leave those rows out."
        )
    return labels.astype(np.int64)


def train_and_test(
    train_z: Any, train_y: Any, test_z: Any, test_y: Any
) -> tuple[Floats, Ints, Floats, Ints]:
    """The four arguments of every probe, checked one by one and against each other."""
    a, b = features(train_z, "train_z"), features(test_z, "test_z")
    if a.shape[1] != b.shape[1]:
        raise DataError(
            f"train_z has {a.shape[1]} columns and test_z {b.shape[1]}; "
            "both must come from the same encoder."
        )
    y = class_labels(train_y, len(a), "train_y")
    if (y == y[0]).all():
        raise DataError(f"train_y holds one class only ({y[0]}); a probe needs at least two.")
    return a, y, b, class_labels(test_y, len(b), "test_y")


def _plain(x: Any) -> Any:
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.is_floating_point() and x.element_size() < 4 else x).numpy()
    return x
