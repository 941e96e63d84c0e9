"""Class prototypes: mean features of the members of a class, and their slow renewal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError, SettingError


def class_means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature of every class, and how many members it has.

    Args:
        features: ``(N, D)``.
        labels: int64 ``(N,)`` in 0 .. classes - 1; -1 (unknown) belongs nowhere.
        classes: number C.

    Returns:
        ``(C, D)`` of the dtype of the features, zero where a class has no member; int64 ``(C,)``.

    Raises:
        DataError: shapes that do not fit, labels out of range.
    """
    if features.dim() != 2:
        raise DataError(f"features must be (N, D), got {tuple(features.shape)}.")
    labels = check_integers("labels", labels, len(features))
    if len(labels) and not -1 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(f"labels must be in 0..{classes - 1}, or -1 for unknown.")
    known = labels >= 0
    counts = torch.bincount(labels[known], minlength=classes)
    sums = features.new_zeros(classes, features.shape[1]).index_add(
        0, labels[known], features[known]
    )
    return sums / counts.clamp(min=1)[:, None], counts


def unit_class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Normalised mean of the normalised features of every class; arguments as `class_means`.

    Raises:
        DataError: a class without members, or whose members cancel out: its mean has no direction.
    """
    means, counts = class_means(normalize(features, dim=1), labels, classes)
    lost = ((counts == 0) | (means == 0).all(1)).nonzero().flatten()
    if len(lost):
        raise DataError(
            f"Class {int(lost[0])} has {int(counts[lost[0]])} members and no mean direction; "
            "every class needs a sample to start its prototype from."
        )
    return normalize(means, dim=1)


@torch.no_grad()
def polish(prototypes: Tensor, features: Tensor, labels: Tensor, momentum: float = 0.999) -> Tensor:
    """``c_y <- momentum c_y + (1 - momentum) u_i`` sample by sample, then unit length.

    The order within the batch matters slightly, for each sample counts a little less than the next
    of its class. With ``momentum`` 1 unit prototypes stay as they are.

    Args:
        prototypes: ``(C, D)``.
        features: unit features ``(B, D)``, in the order of the batch.
        labels: int64 ``(B,)``; -1 leaves a sample out.
        momentum: in [0, 1].

    Returns:
        New prototypes ``(C, D)``.

    Raises:
        SettingError: momentum outside [0, 1].

    Source: Qin et al., "FoPro", AAAI 2023, arXiv 2212.00465 (0.999).
    """
    if not 0 <= momentum <= 1:
        raise SettingError(f"momentum must be in [0, 1], got {momentum}.")
    labels = check_integers("labels", labels, len(features))
    renewed = prototypes.clone()
    for label in torch.unique(labels[labels >= 0]).tolist():
        members = features[labels == label].to(renewed.dtype)
        ages = torch.arange(len(members) - 1, -1, -1, device=members.device)
        shares = (1 - momentum) * members.new_tensor(momentum) ** ages
        renewed[label] = momentum ** len(members) * renewed[label] + shares @ members
    return normalize(renewed, dim=1)
