"""DiffusionRet: token-weighted similarity, and the two losses of discrimination and generation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from counterpoint.engine.checks import (
    Temperature,
    check_finite,
    check_reduction,
    inverse_temperature,
)
from counterpoint.engine.rows import row_blocks
from counterpoint.engine.similarity import unit_rows
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.registry import Loss, objective

SOURCE = (
    "Jin et al. 2023, DiffusionRet: Generative Text-Video Retrieval with Diffusion Model, "
    "ICCV 2023, arXiv 2303.09867"
)


def token_similarity(
    text: Tensor,
    video: Tensor,
    text_weight: Tensor,
    video_weight: Tensor,
    text_mask: Tensor,
    video_mask: Tensor,
) -> Tensor:
    """``1/2 [sum_t alpha_at max_v r_tv + sum_v beta_bv max_t r_tv]``, r the cosine of two tokens.

    Pairs with a masked token have ``r = 0`` and still take part in the maxima; of equal tokens the
    first one has the gradient. The four-fold tensor of tokens is made for some texts at a time, and
    again in the backward pass.

    Args:
        text: float ``(A, T, W)``.
        video: float ``(B, F, W)``.
        text_weight: alpha, ``(A, T)``, see `counterpoint.encoders.token_weights.TokenWeights`.
        video_weight: beta, ``(B, F)``.
        text_mask: 1 or True for valid tokens, ``(A, T)``.
        video_mask: likewise ``(B, F)``.

    Returns:
        ``(A, B)``, in [-1, 1].

    Raises:
        DataError: shapes that do not fit, NaN, infinity.

    Source: Jin et al. 2023, DiffusionRet, arXiv 2303.09867.
    """
    t = _masked_tokens("text", text, text_weight, text_mask)
    v = _masked_tokens("video", video, video_weight, video_mask)
    if t.shape[2] != v.shape[2]:
        raise DataError(f"text has width {t.shape[2]} and video {v.shape[2]}.")
    blocks = []
    for part in row_blocks(len(t), t.shape[1] * v.shape[0] * v.shape[1]):
        block: Tensor = checkpoint(
            _similar, t[part], v, text_weight[part], video_weight, use_reentrant=False
        )
        blocks.append(block)
    return torch.cat(blocks)


def _masked_tokens(name: str, tokens: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    if tokens.dim() != 3 or weight.shape != tokens.shape[:2] or mask.shape != tokens.shape[:2]:
        raise DataError(
            f"{name} must be (N, T, W) with weights and a mask (N, T), not {tuple(tokens.shape)}, "
            f"{tuple(weight.shape)}, {tuple(mask.shape)}."
        )
    check_finite(**{name: tokens})
    unit = unit_rows(tokens.flatten(0, 1)).view_as(tokens)
    return unit * mask[..., None]


def _similar(t: Tensor, v: Tensor, text_weight: Tensor, video_weight: Tensor) -> Tensor:
    r = torch.einsum("atd,bvd->abtv", t, v)
    along = torch.einsum("abt,at->ab", r.max(3).values, text_weight)
    down = torch.einsum("abv,bv->ab", r.max(2).values, video_weight)
    return (along + down) / 2


@objective(
    inputs="scores",
    across_ranks="the matrix is given; build it from the rows of all ranks",
    source=SOURCE,
)
def discrimination(
    similarity: Tensor, temperature: Temperature = 0.01, *, reduction: Reduction = "mean"
) -> Tensor:
    """`clip` of a given matrix: ``(CE(S / t) + CE(S' / t)) / 2``, of its rows and of its columns.

    Args:
        similarity: float ``(N, N)``; candidate i belongs to query i.
        temperature: positive; one number or a learnable scalar.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over pairs.

    Returns:
        ``()``, or ``(N,)`` without reduction. With N = 1: 0.

    Raises:
        DataError: a matrix that is not square, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Jin et al. 2023, DiffusionRet, arXiv 2303.09867, the discrimination loss.
    """
    check_reduction(reduction)
    if similarity.dim() != 2 or similarity.shape[0] != similarity.shape[1]:
        raise DataError(f"similarity must be (N, N), got {tuple(similarity.shape)}.")
    check_finite(similarity=similarity)
    logits = similarity * inverse_temperature(temperature, 1, similarity)
    own = torch.arange(len(logits), device=logits.device)
    along = cross_entropy(logits, own, reduction=reduction)
    return (along + cross_entropy(logits.T, own, reduction=reduction)) / 2


@objective(
    inputs="scores",
    across_ranks="a query has its own list and loss; ranks of equal batches average it",
    ranks="rows",
    source=SOURCE,
)
def list_generation(
    prediction: Tensor, scale: float = 100.0, *, reduction: Reduction = "mean"
) -> Tensor:
    """``-log softmax(scale * prediction)_0``: the right candidate stands first in the list.

    The Kullback-Leibler divergence from the generated distribution of the list to the true one.

    Args:
        prediction: relevance ``x_0`` as `counterpoint.encoders.list_denoiser.ListDenoiser` predicts
            it, float ``(B, K)``.
        scale: inverse temperature of the distribution.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over queries.

    Returns:
        ``()``, or ``(B,)`` without reduction. A list of one gives 0.

    Raises:
        DataError: no ``(B, K)``, NaN, infinity.
        SettingError: unknown reduction.

    Source: Jin et al. 2023, DiffusionRet, arXiv 2303.09867, the generation loss.
    """
    check_reduction(reduction)
    if prediction.dim() != 2 or prediction.numel() == 0:
        raise DataError(f"prediction must be (B, K), got {tuple(prediction.shape)}.")
    first = torch.zeros(len(prediction), dtype=torch.long, device=prediction.device)
    check_finite(prediction=prediction)
    return cross_entropy(scale * prediction, first, reduction=reduction)


class Discrimination(Loss, function=discrimination):
    """`counterpoint.objectives.functional.discrimination` as a module."""

    def __init__(
        self, temperature: Temperature | nn.Module = 0.01, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(temperature=temperature, reduction=reduction)

    def forward(self, similarity: Tensor) -> Tensor:
        return self.call(similarity)


class ListGeneration(Loss, function=list_generation):
    """`counterpoint.objectives.functional.list_generation` as a module."""

    def __init__(self, scale: float = 100.0, *, reduction: Reduction = "mean") -> None:
        super().__init__(scale=scale, reduction=reduction)

    def forward(self, prediction: Tensor) -> Tensor:
        return self.call(prediction)
