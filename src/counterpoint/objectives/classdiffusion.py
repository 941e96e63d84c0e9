"""ClassDiffusion: a personal phrase keeps the meaning of its class while a subject is learnt."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_finite
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Huang et al. 2025, ClassDiffusion, arXiv 2405.17532"
LENGTH_FLOOR = 1e-8


@objective(
    inputs="features",
    across_ranks="it does not depend on the batch; every rank has the same value",
    ranks="rows",
    source=SOURCE,
)
def semantic_preservation(
    personal: Tensor, plain: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """``1 - cos(pooled("modifier class"), pooled("class"))`` of each concept, in [0, 2].

    Both phrases go through the frozen text encoder and are read at their own end-of-text token. Add
    it once a step to the reconstruction loss, times 1; it is no loss of single samples. Only the
    embedding row of the modifier may learn from it: see `counterpoint.encoders.token_rows`.

    Args:
        personal: features of the phrases with the modifier ``(n, H)``, a row a concept.
        plain: features of the class phrases ``(n, H)``; no gradient.
        reduction: over concepts.

    Returns:
        ``()``, or ``(n,)`` without reduction, at least float32. A zero feature gives 1: each length
        is at least 1e-8.

    Raises:
        DataError: shapes that differ, NaN or infinity.

    Source: Huang et al., "ClassDiffusion: More Aligned Personalization Tuning with Explicit Class
    Guidance", ICLR 2025, arXiv 2405.17532.
    """
    if personal.dim() != 2 or personal.shape != plain.shape:
        raise DataError(
            "personal and plain must have one shape (n, H); got "
            f"{tuple(personal.shape)} and {tuple(plain.shape)}."
        )
    dtype = torch.promote_types(personal.dtype, torch.float32)
    check_finite(personal=personal, plain=plain)
    a, b = personal.to(dtype), plain.detach().to(dtype)
    lengths = [torch.linalg.vector_norm(x, dim=1).clamp(min=LENGTH_FLOOR) for x in (a, b)]
    return reduce(1 - torch.linalg.vecdot(a, b) / (lengths[0] * lengths[1]), reduction)


@objective(
    inputs="features",
    across_ranks="a sample has its own loss; ranks of equal batches average it",
    ranks="rows",
    source=SOURCE,
)
def masked_reconstruction(
    prediction: Tensor, target: Tensor, mask: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """``sum M (prediction - target)^2 / sum M`` of every sample, M marking valid pixels.

    The error is summed over channels while the mask has one, so with C channels the value is C
    times a mean over elements, as published.

    Args:
        prediction: of the noise or velocity ``(B, C, H, W)``.
        target: ``(B, C, H, W)``; no gradient.
        mask: 0 or 1, or bool, ``(B, H, W)`` or ``(B, 1, H, W)``.
        reduction: over samples.

    Returns:
        ``()``, or ``(B,)`` without reduction. A sample with an empty mask is left out; without any
        other the value is 0.

    Raises:
        DataError: shapes that do not fit, NaN or infinity under the mask.

    Source: Huang et al., ICLR 2025, arXiv 2405.17532, after Kumari et al., "Multi-Concept
    Customization of Text-to-Image Diffusion", CVPR 2023.
    """
    if prediction.dim() != 4 or prediction.shape != target.shape:
        raise DataError(
            "prediction and target must have one shape (B, C, H, W); got "
            f"{tuple(prediction.shape)} and {tuple(target.shape)}."
        )
    mask = mask.unsqueeze(1) if mask.dim() == 3 else mask
    if mask.shape != prediction[:, :1].shape:
        raise DataError(f"mask must be {tuple(prediction[:, 0].shape)}; got {tuple(mask.shape)}.")
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    weight = mask.to(dtype)
    check_finite(mask=weight)
    error = (prediction.to(dtype) - target.detach().to(dtype)).where(weight > 0, 0.0).square()
    check_finite(**{"the masked difference of prediction and target": error})
    size = weight.sum((1, 2, 3))
    each = (weight * error).sum((1, 2, 3)) / size.where(size > 0, 1.0)
    return reduce(each, reduction, size > 0)


class SemanticPreservation(Loss, function=semantic_preservation):
    """`counterpoint.objectives.functional.semantic_preservation` as a module."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, personal: Tensor, plain: Tensor) -> Tensor:
        return self.call(personal, plain)


class MaskedReconstruction(Loss, function=masked_reconstruction):
    """`counterpoint.objectives.functional.masked_reconstruction` as a module."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        return self.call(prediction, target, mask)
