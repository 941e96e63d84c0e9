"""PCL-SR: a restored image against several sharp positives and several blurred negatives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from counterpoint.engine.checks import Temperature, check_finite, inverse_temperature
from counterpoint.engine.similarity import unit_rows, upcast
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.masked import log_sum_with_zero
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

SOURCE = (
    "Wu et al. 2023, A Practical Contrastive Learning Framework for Single-Image "
    "Super-Resolution, arXiv 2111.13924"
)
RATIO_EPS = 3e-7


@objective(
    inputs="feature maps",
    across_ranks="an image has its own loss; ranks of equal batches average it",
    ranks="rows",
    source=SOURCE,
)
def pcl_sr(
    anchor: Tensor,
    positives: Sequence[Tensor],
    negatives: Sequence[Tensor],
    temperature: Temperature = 1.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean over positives p of ``log(1 + sum_q exp((s_q - s_p) / t))``.

    s is the cosine over channels of two feature maps, averaged over pixels. Other positives are not
    in the denominator. Freeze the embedding network's parameters but keep its graph: the gradient
    must reach the restored image through ``anchor`` (the released code lost it). Positives and
    negatives are constants. Average it over the layers used and add it to the pixel loss, times 5
    for images in [0, 255] or 3 in [0, 1].

    Args:
        anchor: features of the restored images ``(B, C, h, w)``.
        positives: of the true images and sharpened copies, each ``(B, C, h, w)``, at least one.
        negatives: of the up-sampled input and blurred true images; without any the loss is 0.
        temperature: positive; number, learnable scalar or one an image.
        reduction: over images.

    Returns:
        ``()``, or ``(B,)`` without reduction. A pixel of zero features has cosine 0.

    Raises:
        DataError: shapes that do not fit, NaN, infinity.
        SettingError: no positive; temperature or reduction out of range.

    Source: Wu et al., "PCL-SR", IEEE TNNLS 2023, arXiv 2111.13924.
    """
    if not positives:
        raise SettingError("There must be at least one positive.")
    a = _unit_pixels("anchor", anchor, anchor)
    toward = [_similarity(a, "positives", x, anchor) for x in positives]
    away = [_similarity(a, "negatives", x, anchor) for x in negatives]
    scale = inverse_temperature(temperature, len(a), a)
    if not away:
        return reduce(0.0 * sum(toward[1:], toward[0]), reduction)
    gaps = torch.stack(away) - torch.stack(toward)[:, None]
    values = log_sum_with_zero((gaps * scale).permute(0, 2, 1)).mean(0)
    return reduce(values, reduction)


def _similarity(anchor: Tensor, name: str, other: Tensor, like: Tensor) -> Tensor:
    return (anchor * _unit_pixels(name, other.detach(), like)).sum(-1).mean(1)


def _unit_pixels(name: str, maps: Tensor, like: Tensor) -> Tensor:
    """Unit vectors ``(B, pixels, C)``."""
    if maps.dim() != 4 or maps.shape != like.shape or maps.numel() == 0:
        raise DataError(
            f"{name} must be (B, C, h, w) like the anchor {tuple(like.shape)}, "
            f"got {tuple(maps.shape)}."
        )
    check_finite(**{name: maps})
    return unit_rows(upcast(maps).flatten(2).mT)


def dual_contrastive(real: Tensor, fake: Tensor) -> Tensor:
    """``mean_i log(1 + sum_j e^(f_j - r_i)) + mean_j log(1 + sum_i e^(f_j - r_i))``.

    Every real logit against all fake ones and the other way round; the loss of the discriminator
    whose trunk is the embedding network. Real: true and sharpened images; fake: restored (detached)
    and blurred ones.

    Args:
        real: logits of all patches ``(P,)`` or any shape.
        fake: logits ``(Q,)`` or any shape.

    Returns:
        ``()``.

    Raises:
        DataError: no logits, NaN or infinity.

    Source: Wu et al., "PCL-SR", IEEE TNNLS 2023, arXiv 2111.13924; dual contrastive loss of Yu et
    al. 2021.
    """
    for name, x in (("real", real), ("fake", fake)):
        if x.numel() == 0 or not bool(torch.isfinite(x.detach()).all()):
            raise DataError(f"{name} must hold finite logits, at least one.")
    dtype = torch.promote_types(real.dtype, torch.float32)
    r, f = real.to(dtype).flatten(), fake.to(dtype).flatten()
    over_fakes = log_sum_with_zero((torch.logsumexp(f, 0) - r)[:, None])
    over_reals = log_sum_with_zero((torch.logsumexp(-r, 0) + f)[:, None])
    return over_fakes.mean() + over_reals.mean()


def ratio_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """``positive / (negative + 3e-7)``, the ablation on distances to positives and negatives.

    Args:
        positive: mean distance to the positives.
        negative: to the negatives, at least 0.

    Source: Wu et al., "PCL-SR", IEEE TNNLS 2023, arXiv 2111.13924, ablation.
    """
    return positive / (negative + RATIO_EPS)


class PCLSR(Loss, function=pcl_sr):
    """`counterpoint.objectives.functional.pcl_sr` as a module."""

    def __init__(self, temperature: Temperature = 1.0, *, reduction: Reduction = "mean") -> None:
        super().__init__(temperature=temperature, reduction=reduction)

    def forward(
        self, anchor: Tensor, positives: Sequence[Tensor], negatives: Sequence[Tensor]
    ) -> Tensor:
        settings = {name: getattr(self, name) for name in self.names}
        return pcl_sr(anchor, positives, negatives, **settings)
