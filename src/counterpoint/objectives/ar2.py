"""AR2: a retriever learns from a ranker that it tries to fool."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_finite,
    check_not_negative,
    check_share,
    inverse_temperature,
)
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

AdversarialReduction = Literal["sum", "mean"]
SOURCE = (
    "Zhang et al. 2022, Adversarial Retriever-Ranker for dense text retrieval, arXiv 2110.03611"
)


@objective(
    inputs="scores",
    across_ranks="a query has its own loss; ranks of equal batches average it",
    source=SOURCE,
)
def ar2_retriever(
    scores: Tensor,
    ranker_scores: Tensor,
    *,
    adversarial: float = 0.5,
    temperature: Temperature = 1.0,
    eps: float = 1e-7,
    adversarial_reduction: AdversarialReduction = "sum",
    reduction: Reduction = "mean",
) -> Tensor:
    """``a L_adv + (1 - a) L_dis`` of the retriever's scores, the ranker being constant.

    With ``p = softmax(scores)``, ``p' = softmax(ranker_scores / T)``, the reward ``r`` of
    `ranker_reward`, over the candidates j of a query, of which 0 is the positive::

        L_adv = sum_j r_j log(p_j + eps)         summed over queries
        L_dis = -sum_j p'_j log(p_j + eps)       mean over queries

    ``L_adv`` is the cross entropy of ``p`` to ``R / sum R``, ``R = -r``, times ``sum R``: what the
    ranker takes for nearly as good as the positive gains mass. Its sum over queries beside the mean
    of ``L_dis`` is the released form; ``adversarial_reduction="mean"`` weighs both alike.
    ``adversarial=0`` is plain distillation.

    Args:
        scores: dot products of query and candidates ``(B, 1 + n)``, the positive first.
        ranker_scores: of the cross-encoder ``(B, 1 + n)``, no gradient; take them in eval mode.
        adversarial: a in [0, 1].
        temperature: T of the ranker's distribution, above 0.
        eps: added to probabilities inside logarithms; 0 takes the exact log-softmax.
        adversarial_reduction: of ``L_adv`` over queries.
        reduction: ``"mean"`` is as stated; ``"sum"`` is B times it, ``"none"`` gives the terms
            whose mean it is.

    Returns:
        ``()``, or ``(B,)``. Without negatives about 0, and no gradient.

    Raises:
        DataError: shapes that do not fit, NaN or infinity.
        SettingError: a setting out of range.

    Source: Zhang et al., "Adversarial Retriever-Ranker", ICLR 2022, arXiv 2110.03611, released
    co-training step.
    """
    check_share(adversarial=adversarial)
    check_choice(AdversarialReduction, adversarial_reduction=adversarial_reduction)
    if scores.shape != ranker_scores.shape:
        raise DataError(
            f"scores {tuple(scores.shape)} and ranker_scores {tuple(ranker_scores.shape)} differ."
        )
    scores, judged = _checked("scores", scores), _checked("ranker_scores", ranker_scores.detach())
    log_p = (scores.softmax(1) + eps).log() if eps else scores.log_softmax(1)
    game = (ranker_reward(judged, eps=eps) * log_p).sum(1)
    scale = inverse_temperature(temperature, len(judged), judged).reshape(-1, 1)
    distilled = -((judged * scale).softmax(1) * log_p).sum(1)
    if adversarial_reduction == "sum":
        game = game * len(game)
    return reduce(adversarial * game + (1 - adversarial) * distilled, reduction)


@objective(
    inputs="scores",
    across_ranks="a query has its own loss; ranks of equal batches average it",
    ranks="rows",
    source=SOURCE,
)
def ar2_ranker(scores: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``-log softmax(s)_0``: the ranker finds the positive among the retriever's negatives.

    Args:
        scores: of the cross-encoder ``(B, 1 + n)``, the positive first.
        reduction: over queries.

    Returns:
        ``()``, or ``(B,)`` without reduction.

    Raises:
        DataError: not a matrix of finite scores.
        SettingError: unknown reduction.

    Source: Zhang et al., "Adversarial Retriever-Ranker", ICLR 2022, arXiv 2110.03611.
    """
    return reduce(-_checked("scores", scores).log_softmax(1)[:, 0], reduction)


@torch.no_grad()
def ranker_reward(scores: Tensor, *, eps: float = 1e-7) -> Tensor:
    """``r_j = log(sigmoid(s_0 - s_j) + eps)``, the positive's own included: ``log(0.5 + eps)``.

    Args:
        scores: of the ranker ``(B, 1 + n)``, the positive first.
        eps: at least 0; the reward never falls below its logarithm, -16.12 at 1e-7.

    Returns:
        ``(B, 1 + n)``, no gradient.

    Raises:
        SettingError: eps below 0.

    Source: Zhang et al., "Adversarial Retriever-Ranker", ICLR 2022, arXiv 2110.03611.
    """
    check_not_negative(eps=eps)
    margin = scores[:, :1] - scores
    return (margin.sigmoid() + eps).log() if eps else logsigmoid(margin)


def player(step: int, *, ranker_steps: int = 500, iteration: int = 2000) -> str:
    """Whose turn a step is: the ``"ranker"`` opens every iteration, then the ``"retriever"``.

    At the end of an iteration both are saved, the corpus is encoded anew and the negatives with it.

    Args:
        step: from 1.
        ranker_steps: steps of the ranker in an iteration.
        iteration: steps of an iteration.

    Raises:
        SettingError: a number out of range.

    Source: Zhang et al., "Adversarial Retriever-Ranker", ICLR 2022, arXiv 2110.03611.
    """
    if step < 1 or not 0 < ranker_steps < iteration:
        raise SettingError("Need step >= 1 and 0 < ranker_steps < iteration.")
    return "ranker" if (step - 1) % iteration < ranker_steps else "retriever"


def _checked(name: str, scores: Tensor) -> Tensor:
    if scores.dim() != 2 or scores.numel() == 0:
        raise DataError(f"{name} must be (B, 1 + n), got {tuple(scores.shape)}.")
    check_finite(**{name: scores})
    return scores


class AR2Retriever(Loss, function=ar2_retriever):
    """`counterpoint.objectives.functional.ar2_retriever` as a module."""

    def __init__(
        self,
        *,
        adversarial: float = 0.5,
        temperature: Temperature = 1.0,
        eps: float = 1e-7,
        adversarial_reduction: AdversarialReduction = "sum",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            adversarial=adversarial,
            temperature=temperature,
            eps=eps,
            adversarial_reduction=adversarial_reduction,
            reduction=reduction,
        )

    def forward(self, scores: Tensor, ranker_scores: Tensor) -> Tensor:
        return self.call(scores, ranker_scores)


class AR2Ranker(Loss, function=ar2_ranker):
    """`counterpoint.objectives.functional.ar2_ranker` as a module."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, scores: Tensor) -> Tensor:
        return self.call(scores)
