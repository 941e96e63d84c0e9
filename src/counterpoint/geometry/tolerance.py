"""How close samples of one class stay."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry.inputs import class_labels, unit_rows


def tolerance(x: Any, labels: Any, over: Literal["same-class", "all"] = "same-class") -> Tensor:
    """Mean cosine similarity of samples of one class, self-pairs excluded.

    ``over="same-class"``: mean of ``x_i . x_j`` over the pairs i != j of equal label (the paper's
    reported values are only possible so). ``over="all"``: its formula taken literally, the same sum
    over all pairs i != j, pairs of different labels counting 0. A collapsed space has tolerance 1:
    never read it without `uniformity`.

    Computed from class sums in O(N D): ``sum_{i != j} x_i . x_j = ||sum_i x_i||^2 - sum_i
    ||x_i||^2``.

    Args:
        x: embeddings ``(N, D)``, normalised here.
        labels: whole numbers ``(N,)``; rows with -1 (missing) are left out.
        over: which pairs the mean runs over.

    Returns:
        A float64 scalar in [-1, 1], differentiable in ``x``.

    Raises:
        DataError: bad embeddings, labels that do not fit, or no two rows of one label.
        SettingError: another ``over``.

    Source: Wang and Liu, "Understanding the Behaviour of Contrastive Loss", CVPR 2021, Eq. 11.
    """
    if over not in ("same-class", "all"):
        raise SettingError(f"over must be 'same-class' or 'all', got {over!r}.")
    z = unit_rows(x, "x")
    y = class_labels(labels, z.shape[0], z.device)
    z, y = z[y >= 0].double(), y[y >= 0]
    classes, position = torch.unique(y, return_inverse=True)
    sizes = torch.bincount(position, minlength=len(classes))
    same = int((sizes * (sizes - 1)).sum())
    if same == 0:
        raise DataError("No two rows share a label, so tolerance is not defined.")
    sums = z.new_zeros(len(classes), z.shape[1]).index_add(0, position, z)
    total: Tensor = sums.square().sum() - z.square().sum()
    return total / (same if over == "same-class" else len(y) * (len(y) - 1))
