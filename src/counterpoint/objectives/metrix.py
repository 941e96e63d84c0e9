"""Metrix: a metric-learning loss that also sees mixtures of positives and negatives."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import (
    check_choice,
    check_integers,
    check_not_negative,
    check_positive,
    prepare,
)
from counterpoint.engine.row_function import row_losses
from counterpoint.engine.similarity import unit_rows, without_autocast
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.masked import log_sums_with_zero
from counterpoint.objectives.multi_similarity import multi_similarity
from counterpoint.objectives.proxy_anchor import mean_of_occurring, proxy_anchor
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.metric_mixing import (
    MixedPairs,
    anchor_negative_pairs,
    positive_negative_pairs,
    prototype_pairs,
)

Pairing = Literal["positive_negative", "anchor_negative"]
SOURCE = "Venkataramanan et al. 2022, It Takes Two to Tango: Mixup for Deep Metric Learning"


@objective(
    inputs="features",
    across_ranks="a rank compares its own batch; ranks of equal batches average it",
    source="Hadsell et al. 2006; mean over non-zero terms as in pytorch-metric-learning",
)
def pair_margin(z: Tensor, labels: Tensor, *, margin: float = 0.5) -> Tensor:
    """Mean non-zero distance of positives plus mean non-zero ``[margin - d]_+`` of negatives.

    d is the Euclidean distance of unit rows, over ordered pairs; an empty mean is 0. Also known as
    contrastive loss.

    Args:
        z: ``(N, D)``, normalised here.
        labels: int64 ``(N,)``.
        margin: above 0, in units of d (0 to 2).

    Returns:
        ``()``.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity.
        SettingError: margin not above 0.

    Source: Hadsell et al. 2006; Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990, the
    clean part.
    """
    check_positive(margin=margin)
    (z,) = prepare(True, z=z)
    y = check_integers("labels", labels, len(z))
    tiny = 8 * torch.finfo(z.dtype).eps

    def sums(products: Tensor, i: Tensor, j: Tensor) -> Tensor:
        squared = 2 - 2 * products
        apart = squared > tiny
        d = squared.where(apart, 1.0).sqrt().where(apart, 0.0)
        same = y[i] == y[j]
        positive = d.masked_fill(~same | (i == j), 0.0)
        negative = (margin - d).clamp(min=0).masked_fill(same, 0.0)
        parts = (positive, positive > 0, negative, negative > 0)
        return torch.stack([part.sum(1).to(d.dtype) for part in parts], 1)

    total = row_losses(sums, z, z, z.new_ones(())).sum(0)
    return total[0] / total[1].clamp(min=1) + total[2] / total[3].clamp(min=1)


def mixed_margin_parts(
    embeddings: Tensor, pairs: MixedPairs, weight: float | Tensor, *, margin: float = 0.5
) -> tuple[Tensor, Tensor]:
    """``w d`` and ``(1 - w) [margin - d]_+`` of anchors and mixtures, each a mean of non-zeros.

    ``v = w first + (1 - w) second`` of raw embeddings, then normalised for the distance; its label
    is w. An empty mean is 0, and so is a distance within rounding.

    Args:
        embeddings: raw ``(N, D)``.
        pairs: T mixtures and their anchors.
        weight: w in [0, 1], one for all or ``(T,)``; no gradient.
        margin: above 0.

    Returns:
        The attractive and the repulsive part, ``()`` each.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: weight or margin out of range.

    Source: Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990.
    """
    check_positive(margin=margin)
    (e,) = prepare(False, embeddings=embeddings)
    w = _shares(weight, pairs).to(e)
    anchors = unit_rows(e)
    cosines, there = _mixed_cosines(anchors, e, pairs, w)
    squared = anchors.detach().square().sum(1)[pairs.anchor] + there - 2 * cosines
    apart = squared > 8 * torch.finfo(e.dtype).eps
    d = squared.where(apart, 1.0).sqrt().where(apart, 0.0)
    return _nonzero_mean(w * d), _nonzero_mean((1 - w) * (margin - d).clamp(min=0))


def _nonzero_mean(values: Tensor) -> Tensor:
    return values.sum() / (values > 0).sum().clamp(min=1)


@objective(
    inputs="features",
    across_ranks="a rank compares its own batch; ranks of equal batches average it",
    source=f"{SOURCE}, arXiv 2106.04990",
)
def metrix(
    embeddings: Tensor,
    labels: Tensor,
    weight: float | Tensor,
    *,
    pairing: Pairing = "positive_negative",
    mixing: float = 0.4,
    margin: float = 0.5,
    first_positive_only: bool = False,
) -> Tensor:
    """`pair_margin` plus ``mixing`` times `mixed_margin_parts`: mixtures with their mixed label.

    ``"positive_negative"`` mixes every positive with every negative of an anchor;
    ``"anchor_negative"`` each anchor without positive with its negatives, and falls back to the
    first where every anchor has one. The authors toss a coin for one of them at each step, with one
    weight drawn from Beta(2, 2) (`counterpoint.pairs.mixing.draw_beta`). The list has some numbers
    for every anchor, positive and negative, so its memory is that of the definition; the mixtures
    themselves are never made.

    Args:
        embeddings: raw outputs ``(N, D)``.
        labels: int64 ``(N,)``.
        weight: w in [0, 1], one for all, or one a mixture.
        pairing: see above.
        mixing: w of the mixed term, at least 0; 0 is `pair_margin`.
        margin: above 0.
        first_positive_only: as released.

    Returns:
        ``()``. Without positives the mixed term is 0.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990, on the contrastive loss.
    """
    clean = pair_margin(embeddings, labels, margin=margin)
    pairs = _pairs(labels, pairing, mixing, first_positive_only)
    if len(pairs.anchor) == 0:
        return clean
    positive, negative = mixed_margin_parts(embeddings, pairs, weight, margin=margin)
    return clean + mixing * (positive + negative)


@objective(
    inputs="labels",
    across_ranks="a rank compares its own batch; ranks of equal batches average it",
    source=f"{SOURCE}, arXiv 2106.04990",
)
def metrix_multi_similarity(
    embeddings: Tensor,
    labels: Tensor,
    weight: float | Tensor,
    *,
    pairing: Pairing = "positive_negative",
    mixing: float = 0.4,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
) -> Tensor:
    """`multi_similarity` plus ``mixing`` times its like over the mixtures v of each anchor::

        log(1 + sum_v w e^(-alpha (s_v - m))) / alpha
          + log(1 + sum_v (1 - w) e^(beta (s_v - m))) / beta

    Args:
        embeddings: raw outputs ``(N, D)``; mixed as they are, then normalised.
        labels: int64 ``(N,)``.
        weight: w in [0, 1], one for all, or one a mixture; no gradient.
        pairing: as `metrix`.
        mixing: weight of the mixed term, at least 0; 0 is `multi_similarity`.
        alpha: sharpness of the positives, above 0.
        beta: sharpness of the negatives, above 0.
        base: m.

    Returns:
        ``()``; both terms are means over all anchors.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990 (its code has the
    contrastive loss only; this form is that of the paper's general equation, reconstructed).
    """
    clean = multi_similarity(embeddings, labels, alpha=alpha, beta=beta, base=base)
    pairs = _pairs(labels, pairing, mixing, False)
    if len(pairs.anchor) == 0:
        return clean
    (e,) = prepare(False, embeddings=embeddings)
    s, own, other = _mixed_similarities(unit_rows(e), e, pairs, _shares(weight, pairs))
    near = log_sums_with_zero(own - alpha * (s - base), pairs.anchor, len(e)) / alpha
    far = log_sums_with_zero(other + beta * (s - base), pairs.anchor, len(e)) / beta
    return clean + mixing * (near + far).mean()


@objective(
    inputs="prototypes",
    across_ranks="a rank compares its own batch; ranks of equal batches average it",
    source=f"{SOURCE}, arXiv 2106.04990",
)
def metrix_proxy_anchor(
    embeddings: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    weight: float | Tensor,
    *,
    mixing: float = 0.4,
    alpha: float = 32.0,
    margin: float = 0.1,
) -> Tensor:
    """`proxy_anchor` plus ``mixing`` times its like over mixtures, as each prototype sees them.

    A prototype sees every sample of its class mixed with every one of another class, N^2 at most.
    A mixture enters the sum of positives with weight w and that of negatives with ``1 - w``.

    Args:
        embeddings: raw outputs ``(N, D)``; mixed as they are, then normalised.
        labels: int64 ``(N,)``, in 0..C-1, -1 where unknown.
        prototypes: learnable, float ``(C, D)``.
        weight: w in [0, 1], one for all, or one a mixture; no gradient.
        mixing: weight of the mixed term, at least 0; 0 is `proxy_anchor`.
        alpha: sharpness, above 0.
        margin: as `proxy_anchor`.

    Returns:
        ``()``; the means are those of `proxy_anchor` in both terms.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: as `metrix_multi_similarity`.
    """
    check_not_negative(mixing=mixing)
    clean = proxy_anchor(embeddings, labels, prototypes, alpha=alpha, margin=margin)
    pairs = prototype_pairs(labels)
    if len(pairs.anchor) == 0:
        return clean
    e, anchors = prepare(False, embeddings=embeddings, prototypes=prototypes)
    shares = _shares(weight, pairs)
    s, own, other = _mixed_similarities(unit_rows(anchors), e, pairs, shares)
    near = log_sums_with_zero(own - alpha * (s - margin), pairs.anchor, len(anchors))
    far = log_sums_with_zero(other + alpha * (s + margin), pairs.anchor, len(anchors))
    return clean + mixing * (mean_of_occurring(near, labels) + far.mean())


def _mixed_similarities(
    anchors: Tensor, embeddings: Tensor, pairs: MixedPairs, shares: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine of anchors and mixtures, ``log w`` and ``log (1 - w)``, each ``(T,)``."""
    w = shares.to(embeddings).expand(len(pairs.anchor))
    cosines, _ = _mixed_cosines(anchors, embeddings, pairs, w)
    return cosines, w.log(), (1 - w).log()


def _mixed_cosines(
    anchors: Tensor, embeddings: Tensor, pairs: MixedPairs, w: Tensor
) -> tuple[Tensor, Tensor]:
    """``<a, v> / |v|`` of anchors and mixtures v, and whether v is not 0, each ``(T,)``.

    From the inner products of the parents, so that no mixture is made; 0 where v is.
    """
    with without_autocast(embeddings):
        seen, among = anchors @ embeddings.T, embeddings @ embeddings.T
    own = among.diagonal()
    first, second = w.square() * own[pairs.first], (1 - w).square() * own[pairs.second]
    squared = first + second + 2 * w * (1 - w) * _entries(among, pairs.first, pairs.second)
    there = squared > 8 * torch.finfo(w.dtype).eps * (first + second)
    of_first = w * _entries(seen, pairs.anchor, pairs.first)
    of_second = (1 - w) * _entries(seen, pairs.anchor, pairs.second)
    return (of_first + of_second) * squared.where(there, 1.0).rsqrt(), there


def _entries(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return table.flatten().index_select(0, rows * table.shape[1] + columns)


def _pairs(
    labels: Tensor, pairing: Pairing, mixing: float, first_positive_only: bool
) -> MixedPairs:
    """Mixtures of a pairing; the other one where it has none."""
    check_choice(Pairing, pairing=pairing)
    check_not_negative(mixing=mixing)
    pairs = anchor_negative_pairs(labels)
    if pairing == "positive_negative" or len(pairs.anchor) == 0:
        pairs = positive_negative_pairs(labels, first_positive_only=first_positive_only)
    return pairs


def _shares(weight: float | Tensor, pairs: MixedPairs) -> Tensor:
    """w in [0, 1] as a constant, ``()`` or ``(T,)``, a number in float64."""
    w = weight.detach() if isinstance(weight, Tensor) else torch.tensor(weight, dtype=torch.float64)
    if w.dim() not in (0, 1) or (w.dim() and len(w) != len(pairs.anchor)):
        raise DataError(f"weight must be one number or ({len(pairs.anchor)},).")
    if not bool(((w >= 0) & (w <= 1)).all()):
        raise SettingError("weight must be in [0, 1].")
    return w


class PairMargin(Loss, function=pair_margin):
    """`counterpoint.objectives.functional.pair_margin` as a module."""

    def __init__(self, *, margin: float = 0.5) -> None:
        super().__init__(margin=margin)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.call(z, labels)


class Metrix(Loss, function=metrix):
    """`counterpoint.objectives.functional.metrix` as a module."""

    def __init__(
        self,
        *,
        pairing: Pairing = "positive_negative",
        mixing: float = 0.4,
        margin: float = 0.5,
        first_positive_only: bool = False,
    ) -> None:
        super().__init__(
            pairing=pairing,
            mixing=mixing,
            margin=margin,
            first_positive_only=first_positive_only,
        )

    def forward(self, embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        return self.call(embeddings, labels, weight)


class MetrixMultiSimilarity(Loss, function=metrix_multi_similarity):
    """`counterpoint.objectives.functional.metrix_multi_similarity` as a module."""

    def __init__(
        self,
        *,
        pairing: Pairing = "positive_negative",
        mixing: float = 0.4,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
    ) -> None:
        super().__init__(pairing=pairing, mixing=mixing, alpha=alpha, beta=beta, base=base)

    def forward(self, embeddings: Tensor, labels: Tensor, weight: float | Tensor) -> Tensor:
        return self.call(embeddings, labels, weight=weight)


class MetrixProxyAnchor(Loss, function=metrix_proxy_anchor):
    """`counterpoint.objectives.functional.metrix_proxy_anchor` as a module."""

    def __init__(self, *, mixing: float = 0.4, alpha: float = 32.0, margin: float = 0.1) -> None:
        super().__init__(mixing=mixing, alpha=alpha, margin=margin)

    def forward(
        self, embeddings: Tensor, labels: Tensor, prototypes: Tensor, weight: float | Tensor
    ) -> Tensor:
        return self.call(embeddings, labels, prototypes, weight=weight)
