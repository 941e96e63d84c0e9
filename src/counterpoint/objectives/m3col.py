"""M3CoL: mixtures in one modality attract both their sources in the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.ranks import gathered_rows
from counterpoint.engine.softmax import reduce_rows, two_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import DataError
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.partner_mixing import PartnerMixing

Variant = Literal["paper", "released"]
SOURCE = "Kumar et al. 2025, Harnessing Shared Relations via Multimodal Mixup (M3CoL), TMLR 2025"


@objective(
    inputs="mixtures",
    across_ranks="partners of the own rank, negatives of all ranks; mean over all rows",
    source=SOURCE,
)
def m3co(
    mixed: Tensor,
    clean: Tensor,
    partner: Tensor,
    share: Tensor,
    temperature: Temperature = 0.1,
    *,
    bidirectional: bool = True,
    variant: Variant = "paper",
    normalize: bool = True,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """``-sum_j P_ij log p(b_j | m_i)``, halved with ``-sum_j P_ji log p(m_j | b_i)``.

    Row i of the target ``P`` holds ``share_i`` at i and ``1 - share_i`` at ``partner(i)``, so rows
    sum to 1. Columns need not: a source of several mixtures weighs more, on purpose. With shares of
    1 this is `clip`. The smallest value is above 0 where mixtures are present.

    Args:
        mixed: m, mixtures of one modality, float ``(N, D)``, see
            `counterpoint.pairs.partner_mixing.PartnerMixing`.
        clean: b, the other modality, not mixed, float ``(N, D)``.
        partner: int64 ``(N,)``, positions in the batch of this process.
        share: of the row itself in its mixture, float in [0, 1], ``(N,)``.
        temperature: positive; one number, a learnable scalar, or one value a row ``(N,)``.
        bidirectional: False for the first term alone, not halved.
        variant: ``"released"`` gives a row that is its own partner the target ``1 - share`` as the
            authors' code does; ``"paper"`` gives it 1.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over rows.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. With N = 1: 0.

    Raises:
        DataError: embeddings, partners or shares that do not fit, NaN, infinity.
        SettingError: temperature, variant or reduction out of range.

    Source: Kumar et al. 2025, M3CoL, arXiv 2409.17777, the M3Co loss.
    """
    check_reduction(reduction)
    check_choice(Variant, variant=variant)
    n = same_rows(mixed=mixed, clean=clean, partner=partner, share=share)
    mixing = PartnerMixing(partner, share)
    m, b = prepare(normalize, mixed=mixed, clean=clean)
    scale = inverse_temperature(temperature, n, m)
    other = 1 - share.to(m)
    own = share.to(m)
    if variant == "released":
        own = own.where(mixing.partner != torch.arange(n, device=m.device), 0.0)
    rows, columns = two_way(
        m, b, scale, Terms(), pull=m.new_zeros(n), reduction="none", across_ranks=across_ranks
    )
    columns = columns + scale * torch.linalg.vecdot(m, b)
    sources = own[:, None] * b + other[:, None] * b[mixing.partner]
    loss = (own + other) * rows - scale * torch.linalg.vecdot(m, sources)
    if bidirectional:
        mixtures = (own[:, None] * m).index_add(0, mixing.partner, other[:, None] * m)
        mass = own.index_add(0, mixing.partner, other)
        loss = (loss + mass * columns - scale * torch.linalg.vecdot(b, mixtures)) / 2
    return reduce_rows(loss, None, reduction, across_ranks)


@objective(
    inputs="pairs",
    across_ranks="targets and candidates are the rows of all ranks; mean over all rows",
    source=SOURCE,
)
def soft_clip(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 0.125,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """``-1/2 sum_j Q_ij [log p(y_j | x_i) + log p(x_j | y_i)]``, ``Q = softmax_rows(y y' / t)``.

    The targets come from y alone and carry gradient; the loss is not symmetric in x and y. The
    second phase of training adds both orders.

    Args:
        x: predictions, float ``(N, D)``.
        y: targets, float ``(N, D)``; row i belongs to row i of x.
        temperature: t of targets and predictions, positive; one number, a learnable scalar, or one
            value a row ``(N,)``.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over rows.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. With N = 1: 0.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Kumar et al. 2025, M3CoL, arXiv 2409.17777, the MultiSClip loss.
    """
    check_reduction(reduction)
    n = same_rows(x=x, y=y)
    x, y = prepare(normalize, x=x, y=y)
    scale = inverse_temperature(temperature, n, x)
    rows, columns = two_way(
        x, y, scale, Terms(), pull=x.new_zeros(n), reduction="none", across_ranks=across_ranks
    )
    columns = columns + scale * torch.linalg.vecdot(x, y)
    near_x, near_y = _means_of_softmax(y * scale.expand(n)[:, None], x, y, across_ranks)
    pull = torch.linalg.vecdot(x, near_y) + torch.linalg.vecdot(y, near_x)
    return reduce_rows((rows + columns - scale * pull) / 2, None, reduction, across_ranks)


def _means_of_softmax(
    queries: Tensor, x: Tensor, y: Tensor, across_ranks: bool
) -> tuple[Tensor, Tensor]:
    """``softmax_rows(queries y') x`` and the same of y, each ``(N, D)``."""
    if across_ranks:
        x, y = gathered_rows(x), gathered_rows(y)
    near_x, near_y = (
        scaled_dot_product_attention(
            queries[None, None], y[None, None], values[None, None], scale=1.0
        )[0, 0]
        for values in (x, y)
    )
    return near_x, near_y


def m3col(
    embeddings: Sequence[Tensor],
    mixings: Sequence[PartnerMixing] | None = None,
    temperature: Temperature | None = None,
    *,
    across_ranks: bool = False,
) -> Tensor:
    """The contrastive part of either phase, summed around the cycle of modalities.

    With mixings ``sum_k m3co(mixing_k(z_k), z_(k+1))``, without ``sum_k soft_clip(z_k, z_(k+1))``.
    Two modalities give both directions. The paper adds 0.1 times this to the cross entropies of
    the fused and the single heads, mixing during the first third of the epochs.

    Args:
        embeddings: one float ``(N, D)`` a modality, at least two; none of them mixed.
        mixings: one a modality, drawn apart, see
            `counterpoint.pairs.partner_mixing.draw_partner_mixing`; None for the second phase.
        temperature: None for 0.1 with mixings and 0.125 without.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``.

    Raises:
        DataError: fewer than two modalities, another number of mixings, or what `m3co` refuses.

    Source: Kumar et al. 2025, M3CoL, arXiv 2409.17777.
    """
    if len(embeddings) < 2 or (mixings is not None and len(mixings) != len(embeddings)):
        raise DataError("m3col needs at least two modalities, and one mixing for each.")
    partners = [*embeddings[1:], embeddings[0]]
    if mixings is None:
        t = 0.125 if temperature is None else temperature
        losses = [
            soft_clip(x, y, t, across_ranks=across_ranks)
            for x, y in zip(embeddings, partners, strict=True)
        ]
    else:
        t = 0.1 if temperature is None else temperature
        losses = [
            m3co(way(x), y, way.partner, way.share, t, across_ranks=across_ranks)
            for way, x, y in zip(mixings, embeddings, partners, strict=True)
        ]
    return torch.stack(losses).sum()


class M3Co(Loss, function=m3co):
    """`counterpoint.objectives.functional.m3co` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        bidirectional: bool = True,
        variant: Variant = "paper",
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            bidirectional=bidirectional,
            variant=variant,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, mixed: Tensor, clean: Tensor, partner: Tensor, share: Tensor) -> Tensor:
        return self.call(mixed, clean, partner=partner, share=share)


class SoftCLIP(Loss, function=soft_clip):
    """`counterpoint.objectives.functional.soft_clip` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.125,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call(x, y)
