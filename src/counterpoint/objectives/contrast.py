"""Contrast over pairs of the user's own description."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_integers,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.ranks import peer_rows
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Aggregate, IndexFunction, LogitFunction, Reduction, Terms
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.description import Attraction
from counterpoint.pairs.diagonal import Diagonal

SOURCE = "van den Oord et al. 2018; Khosla et al. 2020, Eq. 2 and 3; Yeh et al. 2022"


@objective(
    inputs="description",
    across_ranks=(
        "candidates of all ranks, at global positions in the order of ranks; mean over all anchors "
        "with a positive"
    ),
    source=SOURCE,
)
def contrast(
    anchors: Tensor,
    candidates: Tensor,
    temperature: Temperature = 0.1,
    *,
    positive: IndexFunction | None = None,
    valid: IndexFunction | None = None,
    weight: IndexFunction | None = None,
    logit: LogitFunction | None = None,
    decoupled: bool = False,
    aggregate: Aggregate = "mean_log",
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """Softmax contrast of any description of pairs, without the matrix of pairs.

    With logits ``l_ij = <a_i, c_j> / t``, positives ``t_ij`` and weights ``w_ij``, over valid
    pairs::

        mean_log:  log sum_j w_ij exp(l_ij) - sum_j t_ij l_ij / sum_j t_ij
        log_sum:   log sum_j w_ij exp(l_ij) - log sum_j t_ij w_ij exp(l_ij)

    The functions are asked for a block at a time: ``i`` is ``(b, 1)``, ``j`` is ``(1, m)``, both
    int64, and the answer broadcasts to ``(b, m)``. Ready ones are in `counterpoint.pairs`.

    Args:
        anchors: float ``(N, D)``.
        candidates: float ``(M, D)``.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        positive: ``positive(i, j)``, bool or non-negative float; None for ``i == j``.
        valid: ``valid(i, j)``, bool; other pairs take no part in anything. None for all.
        weight: ``weight(i, j)``, non-negative float, multiplies every exponential.
        logit: ``logit(l, i, j)``, the logits to use instead of ``l`` ``(b, m)``, differentiable,
            e.g. ``lambda l, i, j: l - margin * (i == j)``.
        decoupled: leave the positives out of the denominator.
        aggregate: ``"mean_log"`` or ``"log_sum"``.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors. An anchor without positives
            gives 0 and is left out of the mean.
        ids: int64 ``(N,)``, for N = M; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`); the
            functions are asked with global positions.

    Returns:
        ``()``, or ``(N,)`` without reduction. A denominator without candidates counts as 1.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature, aggregate or reduction out of range.

    Source: van den Oord et al. 2018 (one positive); Khosla et al. 2020, Supervised Contrastive
    Learning, Eq. 2 (mean_log) and Eq. 3 (log_sum); Yeh et al. 2022 (decoupled).
    """
    check_reduction(reduction)
    check_choice(Aggregate, aggregate=aggregate)
    if positive is None:
        same_rows(anchors=anchors, candidates=candidates)
        positive = Diagonal()
    if ids is not None:
        same_rows(anchors=anchors, candidates=candidates)
        valid = _without_duplicates(ids, len(anchors), positive, valid, across_ranks)
    a, c = prepare(normalize, anchors=anchors, candidates=candidates)
    scale = inverse_temperature(temperature, len(a), a)
    plain = valid is None and logit is None and aggregate == "mean_log" and not across_ranks
    if plain and isinstance(positive, Attraction):
        return _attracted(a, c, scale, positive, weight, decoupled, reduction)
    loss, _ = one_way(
        a,
        c,
        scale,
        Terms((), valid, weight, logit, positive, decoupled, aggregate),
        reduction=reduction,
        across_ranks=across_ranks,
    )
    return loss


def _attracted(
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    positive: Attraction,
    weight: IndexFunction | None,
    decoupled: bool,
    reduction: Reduction,
) -> Tensor:
    mean_positive, counted = positive.attraction(candidates)

    def not_positive(i: Tensor, j: Tensor) -> Tensor:
        return positive(i, j) == 0

    loss, _ = one_way(
        anchors,
        candidates,
        scale,
        Terms(valid=not_positive if decoupled else None, weight=weight),
        pull=scale * torch.linalg.vecdot(anchors, mean_positive),
        counted=counted,
        reduction=reduction,
    )
    return loss


def _without_duplicates(
    ids: Tensor,
    rows: int,
    positive: IndexFunction,
    valid: IndexFunction | None,
    across_ranks: bool,
) -> IndexFunction:
    ids = check_integers("ids", ids, rows)
    everyone = peer_rows(ids) if across_ranks else ids

    def distinct(i: Tensor, j: Tensor) -> Tensor:
        kept = (everyone[i] != everyone[j]) | (positive(i, j) > 0)
        return kept if valid is None else kept & valid(i, j)

    return distinct


def log_denominators(
    anchors: Tensor,
    candidates: Tensor,
    temperature: Temperature = 0.1,
    *,
    valid: IndexFunction | None = None,
    weight: IndexFunction | None = None,
    logit: LogitFunction | None = None,
    normalize: bool = True,
    across_ranks: bool = False,
) -> Tensor:
    """``log sum_j w_ij exp(<a_i, c_j> / t)`` of every anchor ``(N,)``, differentiable.

    What moving-average estimators and diagnostics of the softmax need. Arguments as `contrast`; an
    empty sum gives 0.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: temperature out of range.
    """
    a, c = prepare(normalize, anchors=anchors, candidates=candidates)
    scale = inverse_temperature(temperature, len(a), a)
    terms = Terms((), valid, weight, logit)
    loss, _ = one_way(a, c, scale, terms, reduction="none", across_ranks=across_ranks)
    return loss


class Contrast(Loss, function=contrast):
    """`counterpoint.objectives.functional.contrast` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        decoupled: bool = False,
        aggregate: Aggregate = "mean_log",
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            decoupled=decoupled,
            aggregate=aggregate,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(
        self,
        anchors: Tensor,
        candidates: Tensor,
        *,
        positive: IndexFunction | None = None,
        valid: IndexFunction | None = None,
        weight: IndexFunction | None = None,
        logit: LogitFunction | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        return self.call(
            anchors,
            candidates,
            positive=positive,
            valid=valid,
            weight=weight,
            logit=logit,
            ids=ids,
        )
