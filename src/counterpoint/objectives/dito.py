"""DITO: the caption is matched with the strongest of random regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import Temperature
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.clip import clip
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="regions",
    across_ranks="negatives are the other modality's rows of all ranks; mean over all pairs",
    source="Kim et al. 2023, Detection-Oriented Image-Text Pretraining (DITO), arXiv 2310.00161",
)
def region_clip(
    regions: Tensor,
    text: Tensor,
    temperature: Temperature = 0.07,
    *,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """Mean over pyramid levels of ``clip(max_k r_k, text)``, the maximum taken channel by channel.

    The gradient of a channel reaches one region; one region is a random crop.

    Args:
        regions: r, embeddings of boxes of each image (`counterpoint.views.random_boxes`), float
            ``(N, R, D)``, or one set a level, ``(L, N, R, D)``.
        text: captions, float ``(N, D)``.
        temperature: positive; one number, a learnable scalar, or one value a pair ``(N,)``.
        decoupled: leave the positive out of the denominator.
        normalize: divide every pooled vector and caption by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over pairs.
        ids: int64 ``(N,)``; pairs of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. With N = 1: 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Kim et al. 2023, DITO, arXiv 2310.00161 (pooling and levels reconstructed).
    """
    if regions.dim() not in (3, 4) or regions.numel() == 0:
        raise DataError(f"regions must be (N, R, D) or (L, N, R, D), got {tuple(regions.shape)}.")
    levels = regions if regions.dim() == 4 else regions[None]
    losses = [
        clip(
            level.amax(1),
            text,
            temperature,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            ids=ids,
            across_ranks=across_ranks,
        )
        for level in levels
    ]
    return torch.stack(losses).mean(0)


class RegionCLIP(Loss, function=region_clip):
    """`counterpoint.objectives.functional.region_clip` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        *,
        decoupled: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, regions: Tensor, text: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(regions, text, ids=ids)
