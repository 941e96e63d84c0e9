"""InfoNCE: one direction, row i's positive is candidate i."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import SettingError
from counterpoint.objectives.decoupled import left_out
from counterpoint.objectives.duplicates import in_bank, in_views
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="pairs",
    across_ranks="negatives are the candidates (and banks) of all ranks; mean over all anchors",
    source="van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding",
)
def info_nce(
    anchors: Tensor,
    candidates: Tensor,
    temperature: Temperature = 0.1,
    *,
    negatives: Tensor | None = None,
    in_batch: bool = True,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    negative_ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-s(i, i) / t + log sum_j exp(s(i, j) / t)``, j over the candidates of anchor i.

    The candidates of an anchor are its positive, the positives of the others if ``in_batch``, and
    all rows of ``negatives``. The dense equivalent without a bank, which holds ``(N, N)`` numbers::

        s = normalize(anchors) @ normalize(candidates).T / temperature
        torch.nn.functional.cross_entropy(s, torch.arange(n))

    Args:
        anchors: float ``(N, D)``.
        candidates: float ``(N, D)``; row i is the positive of anchor i.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        negatives: more negatives of every anchor ``(M, D)``, e.g. a memory queue.
        in_batch: whether the positives of other anchors are negatives.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        negative_ids: int64 ``(M,)``, the ids of ``negatives``.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`); each
            rank's ``negatives`` are negatives of all anchors.

    Returns:
        ``()``, or ``(N,)`` without reduction. Without any negative: 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range; neither ``in_batch`` nor ``negatives``.

    Source: van den Oord et al. 2018, Eq. 4; with a bank: Wang and Liu 2021, Understanding the
    Behaviour of Contrastive Loss, Eq. 1.
    """
    check_reduction(reduction)
    n = same_rows(anchors=anchors, candidates=candidates)
    a, c, pool = candidate_pool(anchors, candidates, negatives, in_batch, normalize)
    if negatives is None:
        valid = in_views(ids, n, across_ranks)
    else:
        valid = in_bank(ids, negative_ids, n, len(negatives), in_batch, across_ranks)
    scale = inverse_temperature(temperature, n, a)
    excluded = left_out(decoupled and in_batch, len(pool), across_ranks, 0)
    pull = None if in_batch else scale * torch.linalg.vecdot(a, c)
    loss, _ = one_way(
        a,
        pool,
        scale,
        Terms(excluded=excluded, valid=valid, diagonal=in_batch),
        pull=pull,
        extra=None if pull is None or decoupled else pull[:, None],
        reduction=reduction,
        across_ranks=across_ranks,
    )
    return loss


def candidate_pool(
    anchors: Tensor,
    candidates: Tensor,
    negatives: Tensor | None,
    in_batch: bool,
    normalize: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Prepared anchors, positives, and all rows an anchor is compared with."""
    if negatives is None:
        if not in_batch:
            raise SettingError("Without in_batch there must be negatives=; none were given.")
        a, c = prepare(normalize, anchors=anchors, candidates=candidates)
        return a, c, c
    a, c, bank = prepare(normalize, anchors=anchors, candidates=candidates, negatives=negatives)
    return a, c, torch.cat([c, bank]) if in_batch else bank


class InfoNCE(Loss, function=info_nce):
    """`counterpoint.objectives.functional.info_nce` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        in_batch: bool = True,
        decoupled: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
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
