"""FT: positives extrapolated away from each other, negatives interpolated with one another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize as unit

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.mixing import draw_beta, mix, mix_pairs

SOURCE = (
    "Zhu et al. 2021, Improving Contrastive Learning by Visualizing Feature Transformation, "
    "arXiv 2108.02982"
)


@dataclass(frozen=True)
class TransformationDraws:
    """The random numbers of one step; None leaves that side as it is.

    Attributes:
        positive: weight of each row of a positive pair, ``()``, ``(B, 1)`` or ``(B, D)``; in (1, 2)
            it extrapolates, in (0, 1) it interpolates.
        negative: weight of each row of the queue, in (0, 1), ``()`` or ``(K, D)``.
        order: int64 ``(K,)``, the row that each row of the queue is mixed with.
    """

    positive: Tensor | None = None
    negative: Tensor | None = None
    order: Tensor | None = None


def draw_transformation(
    queries: Tensor,
    queue: Tensor,
    *,
    positive_alpha: float | None = 2.0,
    negative_alpha: float | None = 1.6,
    extrapolate: bool = True,
    elementwise_positives: bool = False,
    elementwise_negatives: bool = False,
    generator: torch.Generator | None = None,
) -> TransformationDraws:
    """The draws of `feature_transformation`, at most one weight a side and a permutation.

    ``lambda = 1 + Beta(a, a)`` for positives (without the 1 unless ``extrapolate``), ``Beta(a, a)``
    for negatives. Arguments as there; None of an alpha leaves the side out.

    Raises:
        SettingError: an alpha that is not above 0.

    Source: Zhu et al. 2021, arXiv 2108.02982.
    """
    positive = negative = order = None
    if positive_alpha is not None:
        shape = tuple(queries.shape) if elementwise_positives else ()
        positive = extrapolate + draw_beta(positive_alpha, shape, queries.detach(), generator)
    if negative_alpha is not None:
        shape = tuple(queue.shape) if elementwise_negatives else ()
        negative = draw_beta(negative_alpha, shape, queue, generator)
        order = torch.randperm(len(queue), generator=generator).to(queue.device)
    return TransformationDraws(positive, negative, order)


def transform(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    draws: TransformationDraws,
    *,
    postmix_norm: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and queue of one step as `feature_transformation` contrasts them.

    ``q' = w q + (1 - w) k``, ``k' = w k + (1 - w) q`` (the original q in both) and
    ``n'_j = v n_j + (1 - v) n_order(j)``.

    Args:
        queries: float ``(B, D)``.
        keys: float ``(B, D)``.
        queue: float ``(K, D)``.
        draws: the weights and the permutation.
        postmix_norm: bring q' and k', mixed or not, to length 1 (not n', as in the authors' code).

    Source: Zhu et al. 2021, arXiv 2108.02982.
    """
    if draws.positive is not None:
        queries, keys = mix_pairs(queries, keys, draws.positive)
    if draws.negative is not None and draws.order is not None:
        queue = mix(queue, queue[draws.order], draws.negative)
    if postmix_norm:
        queries, keys = unit(queries, dim=1), unit(keys, dim=1)
    return queries, keys, queue


@objective(
    inputs="queue",
    across_ranks="a rank has its own queries and its copy of the queue; ranks average it",
    ranks="rows",
    source=SOURCE,
)
def feature_transformation(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    temperature: Temperature = 0.2,
    *,
    positive_alpha: float | None = 2.0,
    negative_alpha: float | None = 1.6,
    extrapolate: bool = True,
    elementwise_positives: bool = False,
    elementwise_negatives: bool = False,
    postmix_norm: bool = False,
    draws: TransformationDraws | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
    generator: torch.Generator | None = None,
) -> Tensor:
    """``-q' k' / t + log(exp(q' k' / t) + sum_j exp(q' n'_j / t))`` of transformed features.

    With ``w = 1 + Beta(a, a)``, drawn anew each step, positives move away from each other, ``q' =
    w q + (1 - w) k`` and ``k' = w k + (1 - w) q``, so that the similarity s of a unit pair becomes
    ``s - 2 w (w - 1) (1 - s)``: harder, unchanged for an aligned pair. Each negative is replaced,
    for this step, by an interpolation with another of the queue. Without both alphas this is
    `info_nce` against a queue (MoCo). The gradient reaches q wherever it occurs, inside k' too.
    Logits may exceed 1 / t. If a head without batch normalisation collapses, start later.

    Args:
        queries: float ``(B, D)``, with gradient.
        keys: float ``(B, D)``; no gradient. The ORIGINAL keys belong into the queue afterwards.
        queue: float ``(K, D)``; no gradient.
        temperature: positive; one number, a learnable scalar, or one value a query ``(B,)``.
        positive_alpha: a of the positives, above 0; None leaves them as they are.
        negative_alpha: a of the negatives, above 0; None leaves them as they are.
        extrapolate: without it positives are interpolated, which the paper shows to hurt.
        elementwise_positives: an own draw for every number of ``(B, D)`` instead of one a step.
        elementwise_negatives: an own draw for every number of ``(K, D)``.
        postmix_norm: bring q' and k' back to length 1.
        draws: the random numbers, so that a step can be replayed; the settings above but
            ``postmix_norm`` are then not used.
        normalize: divide every row by its length before mixing.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over queries.
        generator: of the draws.

    Returns:
        ``()``, or ``(B,)`` without reduction.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Zhu et al. 2021, Improving Contrastive Learning by Visualizing Feature Transformation,
    arXiv 2108.02982.
    """
    check_reduction(reduction)
    n = same_rows(queries=queries, keys=keys)
    q, k, bank = prepare(normalize, queries=queries, keys=keys.detach(), queue=queue.detach())
    if draws is None:
        draws = draw_transformation(
            q,
            bank,
            positive_alpha=positive_alpha,
            negative_alpha=negative_alpha,
            extrapolate=extrapolate,
            elementwise_positives=elementwise_positives,
            elementwise_negatives=elementwise_negatives,
            generator=generator,
        )
    q, k, bank = transform(q, k, bank, draws, postmix_norm=postmix_norm)
    scale = inverse_temperature(temperature, n, q)
    pull = scale * torch.linalg.vecdot(q, k)
    loss, _ = one_way(q, bank, scale, Terms(), pull=pull, extra=pull[:, None], reduction=reduction)
    return loss


@torch.no_grad()
def score_statistics(
    queries: Tensor, keys: Tensor, queue: Tensor, temperature: float = 0.2
) -> dict[str, Tensor]:
    """What the authors plot of a step, from features as they are contrasted (after `transform`).

    Args:
        queries: float ``(B, D)``.
        keys: float ``(B, D)``.
        queue: float ``(K, D)``.
        temperature: t of the exponentials.

    Returns:
        ``(B,)`` each: ``negative_mean`` and ``negative_variance`` (unbiased) of ``q n`` over the
        queue, ``positive``, ``negative_exp`` (mean of ``exp(q n / t)``) and ``positive_exp``.

    Source: Zhu et al. 2021, arXiv 2108.02982, Section 3.
    """
    q, k, bank = prepare(False, queries=queries, keys=keys, queue=queue)
    scale = inverse_temperature(temperature, len(q), q)
    positive = torch.linalg.vecdot(q, k)
    centre = bank.mean(0)
    spread = torch.cov((bank - centre).T).reshape(q.shape[1], q.shape[1])
    _, rows = one_way(q, bank, scale, Terms(), reduction="none")
    return {
        "negative_mean": q @ centre,
        "negative_variance": torch.linalg.vecdot(q @ spread, q),
        "positive": positive,
        "negative_exp": rows.log_total.exp() / len(bank),
        "positive_exp": (scale * positive).exp(),
    }


class FeatureTransformation(Loss, function=feature_transformation):
    """`counterpoint.objectives.functional.feature_transformation` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.2,
        *,
        positive_alpha: float | None = 2.0,
        negative_alpha: float | None = 1.6,
        extrapolate: bool = True,
        elementwise_positives: bool = False,
        elementwise_negatives: bool = False,
        postmix_norm: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            positive_alpha=positive_alpha,
            negative_alpha=negative_alpha,
            extrapolate=extrapolate,
            elementwise_positives=elementwise_positives,
            elementwise_negatives=elementwise_negatives,
            postmix_norm=postmix_norm,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        queue: Tensor,
        *,
        draws: TransformationDraws | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.call(queries, keys, queue, draws=draws, generator=generator)
