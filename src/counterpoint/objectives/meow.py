"""MEOW and AdaMEOW: negatives that look like the anchor's own class weigh less."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from counterpoint.encoders.pair_weight import PairWeight
from counterpoint.engine.checks import (
    Temperature,
    check_integers,
    check_not_negative,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import one_way, row_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import DataError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.clusterings import Apart, Prototypes

SOURCE = (
    "Yu et al. 2023, Heterogeneous Graph Contrastive Learning with Meta-path Contexts and "
    "Adaptively Weighted Negative Samples, arXiv 2212.13847"
)
ACROSS_RANKS = "a rank holds the whole graph, or one of its own; ranks average it"


@objective(inputs="graph", across_ranks=ACROSS_RANKS, source=SOURCE)
def meow(
    anchors: Tensor,
    candidates: Tensor,
    clusterings: Sequence[Prototypes],
    temperature: Temperature = 0.4,
    *,
    balance: float = 1.0,
    normalize: bool = True,
) -> Tensor:
    """``L_info + balance L_proto``: `meow_info` of the clusters and `meow_proto`.

    Args:
        anchors: projections of the coarse view, float ``(N, D)``.
        candidates: projections of the fine view, float ``(N, D)``.
        clusterings: of the candidates, see `counterpoint.pairs.clusterings.prototypes`.
        temperature: of `meow_info`.
        balance: lambda, not negative.
        normalize: divide every row by its length.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings or clusterings that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847.
    """
    check_not_negative(balance=balance)
    if not clusterings:
        raise DataError("There must be at least one clustering.")
    clusters = torch.stack([one.clusters for one in clusterings])
    info = meow_info(anchors, candidates, clusters, temperature, normalize=normalize)
    if balance == 0:
        return info
    return info + balance * meow_proto(anchors, clusterings, normalize=normalize)


@objective(inputs="graph", across_ranks=ACROSS_RANKS, source=SOURCE)
def meow_info(
    anchors: Tensor,
    candidates: Tensor,
    clusters: Tensor,
    temperature: Temperature = 0.4,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``log sum_j w_ij exp(s(a_i, c_j) / t) - s(a_i, c_i) / t``, w how many clusterings part them.

    The positive has weight 0, hence is not in the denominator; neither is a candidate in the
    anchor's cluster every time.

    Args:
        anchors: float ``(N, D)``.
        candidates: float ``(N, D)``; row i is the positive of anchor i.
        clusters: int64 ``(M, N)``, the cluster of every sample in M clusterings.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        normalize: divide every row by its length.
        reduction: over all N anchors.

    Returns:
        ``()``, or ``(N,)`` without reduction. When no clustering parts anything the loss is 0.

    Raises:
        DataError: embeddings or clusters that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847.
    """
    check_reduction(reduction)
    n = same_rows(anchors=anchors, candidates=candidates)
    a, c = prepare(normalize, anchors=anchors, candidates=candidates)
    scale = inverse_temperature(temperature, n, a)
    apart = Apart(clusters)
    if clusters.shape[1] != n or len(clusters) == 0:
        raise DataError(f"clusters must be (M, {n}), M at least 1, got {tuple(clusters.shape)}.")
    pull = scale * torch.linalg.vecdot(a, c)
    if bool((clusters == clusters[:, :1]).all()):
        return reduce(0.0 * pull, reduction)
    loss, _ = one_way(a, c, scale, Terms(weight=apart), pull=pull, reduction=reduction)
    return loss


@objective(inputs="graph", across_ranks=ACROSS_RANKS, source=SOURCE)
def meow_proto(
    anchors: Tensor, clusterings: Sequence[Prototypes], *, normalize: bool = True
) -> Tensor:
    """``mean_m mean_i [log sum_k exp(s_ik / phi_k) - s_ik(i) / phi_k(i) + log(N / K_m)]``.

    s_ik is the similarity to prototype k, k(i) the cluster of i. The constant comes from the
    mean over the K prototypes times N in the authors' code.

    Args:
        anchors: float ``(N, D)``; only these get a gradient.
        clusterings: M of them, with their own K.
        normalize: divide every anchor by its length.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings or clusterings that do not fit, NaN, infinity.

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847.
    """
    if not clusterings:
        raise DataError("There must be at least one clustering.")
    (a,) = prepare(normalize, anchors=anchors)
    return torch.stack([_toward_prototypes(a, one) for one in clusterings]).mean()


def _toward_prototypes(anchors: Tensor, clustering: Prototypes) -> Tensor:
    directions = clustering.directions.detach().to(anchors)
    clusters = check_integers(
        "clusters", clustering.clusters, len(anchors), classes=len(directions)
    )
    scaled = directions * inverse_temperature(
        clustering.temperature.detach(), len(directions), anchors
    ).expand(len(directions)).unsqueeze(1)
    a, scaled = prepare(False, anchors=anchors, prototypes=scaled)
    pull = torch.linalg.vecdot(a, scaled[clusters])
    loss, _ = one_way(a, scaled, a.new_ones(()), Terms(), pull=pull)
    return loss + math.log(len(a) / len(scaled))


@objective(inputs="graph", across_ranks=ACROSS_RANKS, source=SOURCE)
def adameow(
    anchors: Tensor,
    candidates: Tensor,
    pair_weight: PairWeight,
    temperature: Temperature = 1.0,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``log sum_j w(a_i, c_j) exp(s(a_i, c_j) / t) - s(a_i, c_i) / t``, w learnt, j = i included.

    Small weights everywhere lower the loss without bound; only weight decay, the sigmoid and early
    stopping hold them: watch their mean. The anchor is the fine view here, unlike in `meow`.

    Args:
        anchors: projections of the fine view, float ``(N, D)``.
        candidates: projections of the coarse view, float ``(N, D)``.
        pair_weight: w; gradients flow through it to both embeddings and its parameters.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        normalize: divide every row by its length.
        reduction: over anchors.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: AdaMEOW, IEEE TKDE 2024, arXiv 2212.13847.
    """
    check_reduction(reduction)
    n = same_rows(anchors=anchors, candidates=candidates)
    a, c = prepare(normalize, anchors=anchors, candidates=candidates)
    first, second = pair_weight.first, pair_weight.second
    if first.in_features != a.shape[1]:
        raise DataError(
            f"pair_weight takes width {first.in_features}, the embeddings have {a.shape[1]}."
        )
    scale = inverse_temperature(temperature, n, a)
    w1, b1, w2, b2 = (x.to(a) for x in (first.weight, first.bias, second.weight, second.bias))

    def log_sums(
        logits: Tensor, i: Tensor, j: Tensor, own: Tensor, other: Tensor, w2: Tensor, b2: Tensor
    ) -> Tensor:
        score = _sum_tanh(own, other, w2[0]) + b2
        return (logits + logsigmoid(score)).logsumexp(1)

    total = row_way(
        log_sums,
        a,
        c,
        scale,
        per_row=[a @ w1.T + b1],
        shared=[c @ w1.T, w2, b2],
        width=1 + first.out_features,
        reduction=reduction,
    )
    return total - reduce(scale * torch.linalg.vecdot(a, c), reduction)


def _sum_tanh(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """``sum_h w_h tanh(x_ih + y_jh)``, by sigmoids, which torch has faster than tanh."""
    return ((2 * x)[:, None] + 2 * y).sigmoid() @ (2 * weight) - weight.sum()


class MEOW(Loss, function=meow):
    """`counterpoint.objectives.functional.meow` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.4,
        *,
        balance: float = 1.0,
        normalize: bool = True,
    ) -> None:
        super().__init__(temperature=temperature, balance=balance, normalize=normalize)

    def forward(
        self, anchors: Tensor, candidates: Tensor, clusterings: Sequence[Prototypes]
    ) -> Tensor:
        return self.call(anchors, candidates, clusterings=clusterings)


class MEOWInfo(Loss, function=meow_info):
    """`counterpoint.objectives.functional.meow_info` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.4,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(temperature=temperature, normalize=normalize, reduction=reduction)

    def forward(self, anchors: Tensor, candidates: Tensor, clusters: Tensor) -> Tensor:
        return self.call(anchors, candidates, clusters)


class MEOWProto(Loss, function=meow_proto):
    """`counterpoint.objectives.functional.meow_proto` as a module."""

    def __init__(self, *, normalize: bool = True) -> None:
        super().__init__(normalize=normalize)

    def forward(self, anchors: Tensor, clusterings: Sequence[Prototypes]) -> Tensor:
        return self.call(anchors, clusterings=clusterings)


class AdaMEOW(Loss, function=adameow):
    """`counterpoint.objectives.functional.adameow` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(temperature=temperature, normalize=normalize, reduction=reduction)

    def forward(self, anchors: Tensor, candidates: Tensor, pair_weight: PairWeight) -> Tensor:
        return self.call(anchors, candidates, pair_weight=pair_weight)
