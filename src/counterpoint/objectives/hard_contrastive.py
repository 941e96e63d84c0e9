"""Contrast with the hardest negatives only, in softmax form and in linear form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    same_rows,
)
from counterpoint.engine.row_function import RowFunction
from counterpoint.engine.softmax import row_way
from counterpoint.engine.terms import IndexFunction, Reduction
from counterpoint.errors import SettingError
from counterpoint.objectives.duplicates import negatives_only
from counterpoint.objectives.info_nce import candidate_pool
from counterpoint.objectives.masked import masked_log_sum
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Wang and Liu 2021, Understanding the Behaviour of Contrastive Loss, arXiv 2012.09740"
ACROSS_RANKS = (
    "negatives are the candidates (and banks) of all ranks, which every rank holds; mean over all "
    "anchors"
)


@objective(inputs="pairs", across_ranks=ACROSS_RANKS, source=f"{SOURCE}, Eq. 9")
def hard_contrastive(
    anchors: Tensor,
    candidates: Tensor,
    temperature: Temperature = 0.3,
    *,
    alpha: float = 0.0819,
    negatives: Tensor | None = None,
    in_batch: bool = True,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    negative_ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-s(i, i) / t + log(exp(s(i, i) / t) + sum_{j hard} exp(s(i, j) / t))``.

    Hard are the ``max(1, ceil(alpha n))`` negatives of the anchor, of its n, that are most similar
    to it; among equals at the threshold the selection is arbitrary. It carries no gradient. From a
    cold start this loss can collapse: warm up with `info_nce`.

    For two views in one batch: ``hard_contrastive(torch.cat([z1, z2]), torch.cat([z2, z1]),
    ids=torch.arange(n).repeat(2))``.

    Args:
        anchors: float ``(N, D)``.
        candidates: float ``(N, D)``; row i is the positive of anchor i.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        alpha: share of the negatives kept, in (0, 1].
        negatives: more negatives of every anchor ``(M, D)``, e.g. a memory bank.
        in_batch: whether the positives of other anchors are negatives.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        negative_ids: int64 ``(M,)``, the ids of ``negatives``.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. An anchor without negatives gives 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature, alpha or reduction out of range; no negatives asked for.

    Source: Wang and Liu 2021, Understanding the Behaviour of Contrastive Loss, Eq. 9.
    """
    _check_alpha(alpha)

    def loss(valid: IndexFunction) -> RowFunction:
        def of_rows(logits: Tensor, i: Tensor, j: Tensor, positive: Tensor) -> Tensor:
            kept, mask = _hardest(logits, valid(i, j), alpha)
            if decoupled:
                total, some = masked_log_sum(kept, mask)
                return total.where(some, 0.0) - positive
            kept = kept.masked_fill(~mask, -torch.inf)
            return torch.cat([positive[:, None], kept], 1).logsumexp(1) - positive

        return of_rows

    return _of_rows(
        loss,
        anchors,
        candidates,
        temperature,
        negatives,
        in_batch,
        normalize,
        reduction,
        ids,
        negative_ids,
        across_ranks,
    )


@objective(inputs="pairs", across_ranks=ACROSS_RANKS, source=f"{SOURCE}, Eq. 3")
def simple_contrastive(
    anchors: Tensor,
    candidates: Tensor,
    *,
    alpha: float = 1.0,
    negative_weight: float | None = None,
    negatives: Tensor | None = None,
    in_batch: bool = True,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    negative_ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-s(i, i) + lambda sum_{j kept} s(i, j)``: linear, without temperature.

    With ``alpha = 1`` this is the simple loss; below, only the hardest negatives are kept as in
    `hard_contrastive` (HardSimple).

    Args:
        anchors: float ``(N, D)``.
        candidates: float ``(N, D)``; row i is the positive of anchor i.
        alpha: share of the negatives kept, in (0, 1].
        negative_weight: ``lambda``; one over the number of kept negatives if None.
        negatives: more negatives of every anchor ``(M, D)``.
        in_batch: whether the positives of other anchors are negatives.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        negative_ids: int64 ``(M,)``, the ids of ``negatives``.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. An anchor without negatives gives ``-s(i, i)``.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: alpha or reduction out of range; no negatives asked for.

    Source: Wang and Liu 2021, Understanding the Behaviour of Contrastive Loss, Eq. 3; the paper
    leaves lambda open, and the default is the limit of the softmax loss at high temperature.
    """
    _check_alpha(alpha)

    def loss(valid: IndexFunction) -> RowFunction:
        def of_rows(logits: Tensor, i: Tensor, j: Tensor, positive: Tensor) -> Tensor:
            kept, mask = _hardest(logits, valid(i, j), alpha)
            pushed = torch.where(mask, kept, 0.0).sum(1)
            if negative_weight is None:
                return pushed / mask.sum(1).clamp(min=1) - positive
            return negative_weight * pushed - positive

        return of_rows

    return _of_rows(
        loss,
        anchors,
        candidates,
        1.0,
        negatives,
        in_batch,
        normalize,
        reduction,
        ids,
        negative_ids,
        across_ranks,
    )


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha <= 1:
        raise SettingError(f"alpha is the share of negatives kept, in (0, 1], not {alpha}.")


def _hardest(logits: Tensor, valid: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """The largest ``max(1, ceil(alpha n))`` of the n valid logits of each row, padded.

    Returns:
        Logits ``(b, K)`` and which of them count ``(b, K)``.
    """
    counts = valid.expand_as(logits).sum(1)
    keep = torch.ceil(alpha * counts.double() - 1e-9).clamp(min=1).long().minimum(counts)
    most = int(keep.max())
    masked = logits.detach().masked_fill(~valid, -torch.inf)
    hardest = masked.topk(most, 1).indices
    place = torch.arange(most, device=logits.device)
    return logits.gather(1, hardest), place < keep[:, None]


def _of_rows(
    loss: Callable[[IndexFunction], RowFunction],
    anchors: Tensor,
    candidates: Tensor,
    temperature: Temperature,
    negatives: Tensor | None,
    in_batch: bool,
    normalize: bool,
    reduction: Reduction,
    ids: Tensor | None,
    negative_ids: Tensor | None,
    across_ranks: bool,
) -> Tensor:
    check_reduction(reduction)
    n = same_rows(anchors=anchors, candidates=candidates)
    a, c, pool = candidate_pool(anchors, candidates, negatives, in_batch, normalize)
    banked = 0 if negatives is None else len(negatives)
    scale = inverse_temperature(temperature, n, a)
    valid = negatives_only(ids, negative_ids, a, banked, in_batch, across_ranks)
    return row_way(
        loss(valid),
        a,
        pool,
        scale,
        per_row=(scale * torch.linalg.vecdot(a, c),),
        reduction=reduction,
        across_ranks=across_ranks,
    )


class HardContrastive(Loss, function=hard_contrastive):
    """`counterpoint.objectives.functional.hard_contrastive` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.3,
        *,
        alpha: float = 0.0819,
        in_batch: bool = True,
        decoupled: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            alpha=alpha,
            in_batch=in_batch,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(
        self,
        anchors: Tensor,
        candidates: Tensor,
        *,
        negatives: Tensor | None = None,
        ids: Tensor | None = None,
        negative_ids: Tensor | None = None,
    ) -> Tensor:
        return self.call(
            anchors, candidates, negatives=negatives, ids=ids, negative_ids=negative_ids
        )


class SimpleContrastive(Loss, function=simple_contrastive):
    """`counterpoint.objectives.functional.simple_contrastive` as a module."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        negative_weight: float | None = None,
        in_batch: bool = True,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            alpha=alpha,
            negative_weight=negative_weight,
            in_batch=in_batch,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(
        self,
        anchors: Tensor,
        candidates: Tensor,
        *,
        negatives: Tensor | None = None,
        ids: Tensor | None = None,
        negative_ids: Tensor | None = None,
    ) -> Tensor:
        return self.call(
            anchors, candidates, negatives=negatives, ids=ids, negative_ids=negative_ids
        )
