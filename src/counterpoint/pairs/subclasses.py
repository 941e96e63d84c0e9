"""Subclasses of the classes of a long tail: how many, and how tight each class is."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.prototypes import class_means

Form = Literal["linear", "exponential"]
COORDINATE_GAP = 1e-6
"""Added to every difference of coordinates, as torch's pairwise distance does."""


def subclass_counts(sizes: Tensor, smallest: int = 10) -> Tensor:
    """``max(1, floor(n_c / max(min n, smallest)))``, the number of subclasses of every class.

    Subclasses of class c are numbered from the sum of the counts before it.

    Args:
        sizes: samples a class, int64 ``(C,)``, at least 1.
        smallest: lower limit of the size of a subclass; 10, on ImageNet 20.

    Raises:
        DataError: an empty class.
        SettingError: limit below 1.

    Source: Hou et al., "SBCL", ICCV 2023, arXiv 2306.15925.
    """
    if smallest < 1:
        raise SettingError(f"smallest must be at least 1, got {smallest}.")
    sizes = check_integers("sizes", sizes, len(sizes))
    if len(sizes) == 0 or int(sizes.min()) < 1:
        raise DataError("Every class needs at least one sample.")
    return (sizes // max(int(sizes.min()), smallest)).clamp(min=1)


@torch.no_grad()
def class_temperatures(
    features: Tensor,
    labels: Tensor,
    counts: Tensor,
    temperature: float = 0.1,
    *,
    form: Form = "linear",
) -> Tensor:
    """Temperature of the level of classes: wide classes get a high one.

    With ``phi(c) = mean ||v - t_c|| / log(n_c + 10)`` around the class mean, clipped to its 20th
    and 80th percentile over classes: ``t1 phi / mean phi``, or ``t1 exp(phi / mean phi)``. Classes
    of one subclass keep t1.

    Args:
        features: unit rows of all training samples, one view, ``(N, D)``.
        labels: int64 ``(N,)``, 0 .. C - 1, in any order, every class present.
        counts: subclasses of each class (`subclass_counts`), int64 ``(C,)``.
        temperature: t1, above 0.
        form: ``"linear"``, the code that ran, or ``"exponential"``.

    Returns:
        ``(C,)``.

    Raises:
        DataError: shapes that do not fit, a class without samples.
        SettingError: a setting out of range.

    Source: Hou et al., "SBCL", ICCV 2023, arXiv 2306.15925, released ``main.py``.
    """
    if form not in get_args(Form):
        raise SettingError(f"form must be 'linear' or 'exponential', got {form!r}.")
    if not temperature > 0:
        raise SettingError(f"temperature must be above 0, got {temperature}.")
    classes = len(counts)
    means, sizes = class_means(features, labels, classes)
    if int(sizes.min()) < 1:
        raise DataError(f"Class {int(sizes.argmin())} has no sample.")
    gaps = torch.linalg.vector_norm(features - means[labels] + COORDINATE_GAP, dim=1)
    spread = gaps.new_zeros(classes).index_add(0, labels, gaps) / sizes
    phi = spread / (sizes.to(gaps) + 10).log()
    low, high = torch.quantile(phi, phi.new_tensor([0.2, 0.8]))
    phi = phi.clamp(low, high)
    mean = phi.mean()
    ratio = phi / mean if mean > 0 else torch.ones_like(phi)
    wide = temperature * (ratio if form == "linear" else ratio.exp())
    return torch.where(counts.to(phi.device) > 1, wide, temperature)
