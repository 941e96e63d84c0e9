"""CACR: attraction of the far positives plus repulsion of the near negatives, each by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_not_negative,
    check_positive,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.ranks import gathered_rows
from counterpoint.engine.row_function import RowFunction
from counterpoint.engine.softmax import reduce_rows, row_way
from counterpoint.engine.terms import IndexFunction, Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.duplicates import negatives_only
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.masked import masked_softmax
from counterpoint.objectives.negatives import samples_seen
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

Cost = Literal["euclidean", "rbf"]

SOURCE = (
    "Zheng et al. 2023, Contrastive Attraction and Contrastive Repulsion for Representation "
    "Learning, arXiv 2105.03746"
)


@objective(
    inputs="views",
    across_ranks="negatives are the rows of all ranks; mean over all samples",
    source=SOURCE,
)
def cacr(
    *views: Tensor,
    t_positive: float = 1.0,
    t_negative: float = 2.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    cost: Cost = "euclidean",
    cost_scale: float = 2.0,
    tau_plus: float = 0.0,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """Expected distance to the positives less the expected distance to the negatives.

    With ``d(u, v) = ||u - v||^2``, of sample i, averaged over views a and over pairs of views
    a < b (rows are those of view a)::

        attraction = alpha sum_{b != a} P_b d(a_i, b_i),     P = softmax_b(t+ d(a_i, b_i))
        repulsion  = -beta sum_{j != i} R_j d(a_i, b_j),     R = softmax_j(-t- d(a_i, b_j))

    The gradient flows through the weights P and R too. ``t_positive = 0`` makes P uniform,
    ``t_negative = 0`` makes R uniform: the ablations of the paper. With two views P is 1 and the
    attraction is the plain mean distance.

    Args:
        views: at least 2 views, each float ``(N, D)``, N at least 2, or 1 where nothing repels.
        t_positive: t+ >= 0; multiplies, as in the paper. The more distant positive weighs more.
        t_negative: t- >= 0; multiplies. The closer negative weighs more. 0.9 on CIFAR-10.
        alpha: weight of the attraction.
        beta: weight of the repulsion; 0, without ``tau_plus``, leaves the attraction alone.
        cost: ``"euclidean"``, or ``"rbf"``: the repulsion of a pair of views is then
            ``beta log mean_i sum_j R_j exp(-cost_scale d(a_i, b_j))``.
        cost_scale: of the RBF cost, above 0.
        tau_plus: in [0, 1), share of false negatives: the repulsion becomes
            ``(-tau_plus d(a_i, b_i) + repulsion) / (1 - tau_plus)``; Euclidean cost only. 0.1.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over samples; the RBF cost admits the mean
            only.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. On unit rows never below -4 beta, or below
        ``-4 (beta + tau_plus) / (1 - tau_plus)``; 0 when all rows are equal.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity, a single view, or a single
            sample with repulsion.
        SettingError: a setting out of range.

    Source: Zheng et al. 2023, Contrastive Attraction and Contrastive Repulsion for Representation
    Learning, arXiv 2105.03746; debiased and RBF forms as in the authors' code.
    """
    check_reduction(reduction)
    _check_settings(t_positive, t_negative, cost_scale, tau_plus, cost, reduction)
    z = _prepared(views, normalize)
    repels = beta != 0 or tau_plus > 0
    if repels:
        samples_seen(z[0], across_ranks)
    valid = negatives_only(ids, None, z[0], 0, True, across_ranks)
    pairs = list(combinations(range(len(z)), 2))
    apart = {(a, b): _squared(z[a], z[b]) for a, b in pairs}
    attraction = torch.stack(
        [_expected(_of_view(apart, a, len(z)), t_positive) for a in range(len(z))]
    )
    values = alpha * attraction.mean(0)
    if not repels:
        return reduce_rows(values, None, reduction, across_ranks)
    if cost == "rbf":
        repulsion = torch.stack(
            [_rbf(z[a], z[b], t_negative, cost_scale, valid, across_ranks) for a, b in pairs]
        )
        return reduce_rows(values, None, "mean", across_ranks) + beta * repulsion.mean()
    for a, b in pairs:
        expected = _to_negatives(z[a], z[b], t_negative, valid, across_ranks)
        term = -beta * expected
        if tau_plus:
            term = (term - tau_plus * apart[a, b]) / (1 - tau_plus)
        values = values + term / len(pairs)
    return reduce_rows(values, None, reduction, across_ranks)


@objective(
    inputs="queue",
    across_ranks="a rank has its own anchors and its copy of the queue; ranks average it",
    ranks="rows",
    source=f"{SOURCE}; form with a momentum encoder and a queue",
)
def cacr_queue(
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    queue: Tensor,
    *,
    t_positive: float = 1.0,
    t_negative: float = 2.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    in_batch: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """`cacr` against a queue: queries of a view are drawn to the keys of the other views.

    Averaged over views a, with keys ``k_b`` of the views b != a::

        alpha sum_b sg[softmax_b(t+ d(q_a, k_b))] d(q_a, k_b) - beta sum_n R_n d(q_a, n)

    n runs over the queue and, with ``in_batch``, over the other queries of the same view. Weights
    are detached for keys and queue (not for queries of the batch), unlike in `cacr`. The queue
    receives the keys of the last view only.

    Args:
        queries: V views, each float ``(N, D)``, with gradient.
        keys: V views of the momentum encoder, each float ``(N, D)``; no gradient.
        queue: float ``(K, D)``; no gradient.
        t_positive: t+ >= 0, multiplies.
        t_negative: t- >= 0, multiplies.
        alpha: weight of the attraction.
        beta: weight of the repulsion.
        in_batch: whether the other queries of the view repel too.
        normalize: divide every row by its length.
        reduction: over samples.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity, a single view.
        SettingError: a setting out of range.

    Source: Zheng et al. 2023, arXiv 2105.03746; authors' code for shifted data.
    """
    check_reduction(reduction)
    check_not_negative(t_positive=t_positive, t_negative=t_negative)
    if len(queries) != len(keys):
        raise DataError(f"There are {len(queries)} views of queries and {len(keys)} of keys.")
    q, k = _prepared(queries, normalize), _prepared(keys, normalize)
    same_rows(queries=q[0], keys=k[0])
    _, bank = prepare(normalize, queries=q[0], queue=queue.detach())
    values = torch.zeros_like(q[0][:, 0])
    for a, anchors in enumerate(q):
        costs = torch.stack([_squared(anchors, x.detach()) for x in _others(k, a)], 1)
        pulled = _expected(costs, t_positive, detach=True)
        rows = torch.cat([anchors, bank]) if in_batch else bank
        banked_from = len(anchors) if in_batch else 0
        pushed = _over_rows(_against_queue(t_negative, banked_from), anchors, rows, False)
        values = values + (alpha * pulled - beta * pushed) / len(q)
    return reduce(values, reduction)


@objective(
    inputs="views",
    across_ranks="negatives are the keys of all ranks; mean or sum over all samples",
    source=f"{SOURCE}; form with a momentum encoder",
)
def cacr_momentum(
    *queries: Tensor,
    key: Tensor,
    temperature: Temperature = 1.0,
    cost: Cost = "rbf",
    reduction: Reduction | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """Queries of several views against the keys of one view, in a large batch.

    With ``p_a = sg[softmax_a(||q_a - k||^2 / t)]`` for every sample and unit rows::

        rbf:        2 t sum_a p_a CE(q_a k^T / t)
        euclidean:  sum_a p_a ((1 - q_a k_i) - sum_{j != i} sg[w_j] (1 - q_a k_j)),
                    w = softmax_j(-(1 - q_a k_j) / t)

    CE has the positive in its denominator. Over several key views average the values, each with the
    queries of the other views.

    Args:
        queries: views of the trained encoder but the key's, each float ``(N, D)``, N at least 2.
        key: the remaining view from the momentum encoder, float ``(N, D)``; no gradient.
        temperature: positive; one number, or a learnable scalar. The paper has 0.2 for ViT.
        cost: ``"rbf"`` or ``"euclidean"``.
        reduction: over samples; None as in the authors' code, ``"mean"`` for rbf and ``"sum"`` for
            euclidean.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. With all rows equal 2 t log N for rbf and 0 for
        euclidean.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity, a single sample.
        SettingError: a setting out of range.

    Source: Zheng et al. 2023, arXiv 2105.03746; authors' code for ImageNet.
    """
    check_choice(Cost, cost=cost)
    if reduction is None:
        reduction = "mean" if cost == "rbf" else "sum"
    check_reduction(reduction)
    if not queries:
        raise DataError("There must be at least one view of queries.")
    *q, k = _prepared((*queries, key.detach()), True)
    samples_seen(k, across_ranks)
    t = 1 / inverse_temperature(temperature, 1, k)
    distances = torch.stack([_squared(x, k) for x in q])
    shares = (distances / t).softmax(0).detach()
    values = torch.zeros_like(k[:, 0])
    for x, share in zip(q, shares, strict=True):
        if cost == "rbf":
            entropy = info_nce(x, k, t, reduction="none", across_ranks=across_ranks)
            values = values + 2 * t * share * entropy
        else:
            valid = negatives_only(None, None, x, 0, True, across_ranks)
            pushed = row_way(
                _detached(1 / float(t), valid),
                x,
                k,
                x.new_ones(()),
                reduction="none",
                across_ranks=across_ranks,
            )
            values = values + share * ((1 - torch.linalg.vecdot(x, k)) - pushed)
    return reduce_rows(values, None, reduction, across_ranks)


def attraction_weights(views: Sequence[Tensor], t_positive: float = 1.0) -> Tensor:
    """Weights P of `cacr`: of view a of sample i, over its other views in their order.

    Args:
        views: V views, each float ``(N, D)``, as they are (not normalised).
        t_positive: t+ >= 0.

    Returns:
        ``(V, N, V - 1)``, rows summing to 1, larger for more distant views.

    Source: Zheng et al. 2023, arXiv 2105.03746.
    """
    z = _prepared(views, False)
    costs = [torch.stack([_squared(z[a], b) for b in _others(z, a)], 1) for a in range(len(z))]
    return (t_positive * torch.stack(costs)).softmax(-1)


def repulsion_weights(
    anchors: Tensor, candidates: Tensor, t_negative: float = 2.0, kept: Tensor | None = None
) -> Tensor:
    """Weights R of `cacr` as a matrix, to look at: ``softmax_j(-t- ||a_i - c_j||^2)``.

    Args:
        anchors: float ``(N, D)``, as they are (not normalised).
        candidates: float ``(M, D)``.
        t_negative: t- >= 0.
        kept: bool ``(N, M)``, the negatives; None for all but ``i == j``.

    Returns:
        ``(N, M)``, larger for closer negatives, 0 where not kept.

    Source: Zheng et al. 2023, arXiv 2105.03746.
    """
    a, c = prepare(False, anchors=anchors, candidates=candidates)
    if kept is None:
        kept = ~torch.eye(len(a), len(c), dtype=torch.bool, device=a.device)
    squared = (a * a).sum(1, keepdim=True) + (c * c).sum(1) - 2 * a @ c.T
    return masked_softmax(-t_negative * squared, kept)


def _prepared(views: Sequence[Tensor], normalize: bool) -> list[Tensor]:
    if len(views) < 2:
        raise DataError("There must be at least two views of every sample; one has no positives.")
    named = {f"z{number}": view for number, view in enumerate(views, 1)}
    same_rows(**named)
    return prepare(normalize, **named)


def _check_settings(
    t_positive: float,
    t_negative: float,
    cost_scale: float,
    tau_plus: float,
    cost: Cost,
    reduction: Reduction,
) -> None:
    check_choice(Cost, cost=cost)
    check_not_negative(t_positive=t_positive, t_negative=t_negative)
    check_positive(cost_scale=cost_scale)
    if not 0 <= tau_plus < 1:
        raise SettingError(f"tau_plus must lie in [0, 1), not {tau_plus}.")
    if cost == "rbf" and (tau_plus or reduction != "mean"):
        raise SettingError(
            "The RBF cost takes the logarithm of a mean over the batch, so it has no value of one "
            "sample: it needs reduction='mean' and tau_plus=0."
        )


def _others(views: Sequence[Tensor], a: int) -> list[Tensor]:
    return [view for b, view in enumerate(views) if b != a]


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1)


def _of_view(apart: Mapping[tuple[int, int], Tensor], a: int, count: int) -> Tensor:
    """Distances ``(N, count - 1)`` of view a to the others, in their order."""
    others = (b for b in range(count) if b != a)
    return torch.stack([apart[min(a, b), max(a, b)] for b in others], 1)


def _expected(costs: Tensor, t_positive: float, detach: bool = False) -> Tensor:
    """Expected distance ``(N,)`` under `attraction_weights`, of distances ``(N, V - 1)``."""
    weights = (t_positive * costs).softmax(1)
    return (costs * (weights.detach() if detach else weights)).sum(1)


def _to_negatives(
    anchors: Tensor, candidates: Tensor, t: float, valid: IndexFunction, across_ranks: bool
) -> Tensor:
    """Expected squared distance ``(N,)`` to the negatives."""

    def of_rows(s: Tensor, i: Tensor, j: Tensor, own: Tensor, other: Tensor) -> Tensor:
        cost = own[:, None] + other - 2 * s
        return (cost * masked_softmax(-t * cost, valid(i, j))).sum(1)

    return _over_rows(of_rows, anchors, candidates, across_ranks)


def _rbf(
    anchors: Tensor,
    candidates: Tensor,
    t: float,
    cost_scale: float,
    valid: IndexFunction,
    across_ranks: bool,
) -> Tensor:
    """``log mean_i sum_j R_ij exp(-cost_scale d_ij)``, in logarithms throughout."""

    def of_rows(s: Tensor, i: Tensor, j: Tensor, own: Tensor, other: Tensor) -> Tensor:
        kept = valid(i, j)
        cost = own[:, None] + other - 2 * s
        cost = cost.masked_fill(~kept, torch.finfo(s.dtype).max / 8)
        return (-(t + cost_scale) * cost).logsumexp(1) - (-t * cost).logsumexp(1)

    logs = _over_rows(of_rows, anchors, candidates, across_ranks)
    everyone = gathered_rows(logs) if across_ranks else logs
    return everyone.logsumexp(0) - math.log(len(everyone))


def _against_queue(t: float, banked_from: int) -> RowFunction:
    """Expected squared distance to queue and batch; the queue's share of the weights is constant.

    Columns before ``banked_from`` are the rows of the batch, in the order of the anchors.
    """

    def of_rows(s: Tensor, i: Tensor, j: Tensor, own: Tensor, other: Tensor) -> Tensor:
        cost = own[:, None] + other - 2 * s
        batch = j < banked_from
        weighed = torch.where(batch, cost, cost.detach())
        return (cost * masked_softmax(-t * weighed, ~batch | (i != j))).sum(1)

    return of_rows


def _detached(sharpness: float, valid: IndexFunction) -> RowFunction:
    """Expected ``1 - s`` under detached weights."""

    def of_rows(s: Tensor, i: Tensor, j: Tensor) -> Tensor:
        cost = 1 - s
        return (cost * masked_softmax(-sharpness * cost.detach(), valid(i, j))).sum(1)

    return of_rows


def _over_rows(
    function: RowFunction, anchors: Tensor, candidates: Tensor, across_ranks: bool
) -> Tensor:
    """The function gets ``<a, c>``, ``||a||^2`` of its rows and ``||c||^2`` of all candidates."""
    lengths = candidates.square().sum(1)
    return row_way(
        function,
        anchors,
        candidates,
        anchors.new_ones(()),
        per_row=(anchors.square().sum(1),),
        shared=(gathered_rows(lengths) if across_ranks else lengths,),
        width=2,
        reduction="none",
        across_ranks=across_ranks,
    )


class CACR(Loss, function=cacr):
    """`counterpoint.objectives.functional.cacr` as a module."""

    def __init__(
        self,
        *,
        t_positive: float = 1.0,
        t_negative: float = 2.0,
        alpha: float = 1.0,
        beta: float = 1.0,
        cost: Cost = "euclidean",
        cost_scale: float = 2.0,
        tau_plus: float = 0.0,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            t_positive=t_positive,
            t_negative=t_negative,
            alpha=alpha,
            beta=beta,
            cost=cost,
            cost_scale=cost_scale,
            tau_plus=tau_plus,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, *views: Tensor, ids: Tensor | None = None) -> Tensor:
        return self.call(*views, ids=ids)


class CACRQueue(Loss, function=cacr_queue):
    """`counterpoint.objectives.functional.cacr_queue` as a module."""

    def __init__(
        self,
        *,
        t_positive: float = 1.0,
        t_negative: float = 2.0,
        alpha: float = 1.0,
        beta: float = 1.0,
        in_batch: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            t_positive=t_positive,
            t_negative=t_negative,
            alpha=alpha,
            beta=beta,
            in_batch=in_batch,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(self, queries: Sequence[Tensor], keys: Sequence[Tensor], queue: Tensor) -> Tensor:
        return self.function(
            queries, keys, queue, **{name: getattr(self, name) for name in self.names}
        )


class CACRMomentum(Loss, function=cacr_momentum):
    """`counterpoint.objectives.functional.cacr_momentum` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        cost: Cost = "rbf",
        reduction: Reduction | None = None,
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature, cost=cost, reduction=reduction, across_ranks=across_ranks
        )

    def forward(self, *queries: Tensor, key: Tensor) -> Tensor:
        return self.call(*queries, key=key)
