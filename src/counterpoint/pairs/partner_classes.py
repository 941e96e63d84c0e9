"""The class that each anchor is paired with, when any two classes may be."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.errors import SettingError

Pairing = Literal["arbitrary", "distinct", "identical"]


def partner_classes(
    labels: Tensor,
    pairing: Pairing = "arbitrary",
    *,
    classes: int | None = None,
    draws: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The partner class of every anchor of a batch.

    Args:
        labels: int64 ``(B,)`` in 0 .. C - 1.
        pairing: ``"arbitrary"``: the label of a random sample of the batch, which may be its own;
            ``"distinct"``: any other class, which may be absent from the batch; ``"identical"``:
            its own class, the supervised baseline.
        classes: number C, at least 2, for ``"distinct"``.
        draws: what decides, drawn if None: a permutation ``(B,)`` for ``"arbitrary"``, steps in
            1 .. C - 1 ``(B,)`` for ``"distinct"``.
        generator: of the draw.

    Returns:
        int64 ``(B,)``.

    Raises:
        SettingError: unknown pairing, or no number of classes for ``"distinct"``.

    Source: Rethinking Positive Pairs in Contrastive Learning (HYDRA), arXiv 2410.18200.
    """
    if pairing not in get_args(Pairing):
        raise SettingError(f"pairing must be one of {get_args(Pairing)}, not {pairing!r}.")
    if pairing == "identical":
        return labels
    if pairing == "arbitrary":
        if draws is None:
            draws = torch.randperm(len(labels), generator=generator).to(labels.device)
        return labels[draws]
    if classes is None or classes < 2:
        raise SettingError(f"Distinct pairs need the number of classes, at least 2, not {classes}.")
    if draws is None:
        draws = torch.randint(1, classes, labels.shape, generator=generator).to(labels.device)
    return (labels + draws) % classes
