"""QCRD: a student keeps close to good rationales and away from bad ones, weighted by quality."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import check_choice, check_finite, check_not_negative
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.pairwise import pairwise_loss
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

OverPositives = Literal["min", "mean"]
OverNegatives = Literal["max", "min", "mean"]


@objective(
    inputs="log-probabilities",
    across_ranks="a question has its own loss; ranks of equal batches average it",
    ranks="rows",
    source="Wang et al. 2025, Quality-guided Contrastive Rationale Distillation, arXiv 2405.13014",
)
def qcrd(
    positive_losses: Tensor,
    negative_losses: Tensor,
    *,
    positive_quality: Tensor | None = None,
    negative_quality: Tensor | None = None,
    has_positive: Tensor | None = None,
    has_negative: Tensor | None = None,
    beta: float = 0.2,
    margin: float = 3.0,
    over_positives: OverPositives = "min",
    over_negatives: OverNegatives = "max",
    reduction: Reduction = "mean",
) -> Tensor:
    """``s(r+) min_r l(r) - beta (1 - s(r-)) max_r min(l(r) - margin, 0)`` of every question.

    The first minimum runs over the positive rationales, the maximum over the negative ones; ``r+``
    and ``r-`` are those picked. The second term is a hinge: the loss of a negative is pushed up to
    the margin and no further, so the whole is never negative. Under a ``"mean"`` the quality goes
    inside. With ``"max"`` (the reported best scheme) one negative beyond the margin switches the
    negatives of its question off; ``"min"`` takes the negative the student likes best.

    A loss ``l`` is the MEAN cross entropy of the tokens of one rationale, its end token included:
    ``-sequence_log_probability(..., reduction="mean")``; the margin of 3 is made for that.

    Args:
        positive_losses: ``(B, P)``, at least 0.
        negative_losses: ``(B, Q)``, at least 0; Q may be 0.
        positive_quality: in [0, 1], ``(B, P)``; no gradient flows. None is 1 everywhere (L_CL).
        negative_quality: in [0, 1], ``(B, Q)``; None is 0 everywhere.
        has_positive: bool ``(B, P)``, False where there is no rationale. A question without any is
            left out of both terms and of the mean.
        has_negative: bool ``(B, Q)``; a question without any has no second term.
        beta: weight of the negatives, at least 0.
        margin: loss up to which negatives are pushed.
        over_positives: ``"min"`` or ``"mean"``.
        over_negatives: ``"max"``, ``"min"`` or ``"mean"``, taken after the clip.
        reduction: over questions.

    Returns:
        ``()``, or ``(B,)`` without reduction. Without any question that counts: 0.

    Raises:
        DataError: shapes that do not fit; NaN, infinity or negative losses; quality outside [0, 1].
        SettingError: unknown scheme, negative beta.

    Source: Wang et al., "Quality-guided Contrastive Rationale Distillation for Large Language
    Models", EMNLP 2025, arXiv 2405.13014.
    """
    check_choice(OverPositives, over_positives=over_positives)
    check_choice(OverNegatives, over_negatives=over_negatives)
    check_not_negative(beta=beta)
    rows = len(positive_losses)
    good, keep, is_good = _prepare(
        "positive", positive_losses, positive_quality, has_positive, rows, 1.0
    )
    bad, doubt, is_bad = _prepare(
        "negative", negative_losses, negative_quality, has_negative, rows, 0.0
    )
    pull = _pick(good, keep, is_good, over_positives)
    lacking = pairwise_loss(bad, "hinge", margin=margin)
    flipped: dict[str, Literal["min", "max", "mean"]] = {"max": "min", "min": "max", "mean": "mean"}
    push = _pick(lacking, 1 - doubt, is_bad, flipped[over_negatives])
    return reduce(pull + beta * push, reduction, is_good.any(1))


def discriminator_loss(positive_logits: Tensor, negative_logits: Tensor) -> Tensor:
    """``-mean log D(r+) - mean log(1 - D(r-))``, ``D = sigmoid(logit)``, of the quality judge.

    The classes are averaged apart; a class without any rationale gives 0.

    Args:
        positive_logits: any shape.
        negative_logits: any shape.

    Returns:
        ``()``; ``2 log 2`` where the judge knows nothing.

    Source: Wang et al., EMNLP 2025, arXiv 2405.13014 (the formula is read from its description).
    """
    good = reduce(pairwise_loss(positive_logits.flatten()), "mean")
    return good + reduce(pairwise_loss(-negative_logits.flatten()), "mean")


def _prepare(
    name: str,
    losses: Tensor,
    quality: Tensor | None,
    present: Tensor | None,
    rows: int,
    otherwise: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses, quality and presence, with 0 and ``otherwise`` where there is no rationale."""
    if losses.dim() != 2 or len(losses) != rows:
        raise DataError(f"{name}_losses must be ({rows}, rationales); got {tuple(losses.shape)}.")
    there = torch.ones_like(losses, dtype=torch.bool) if present is None else present
    score = torch.full_like(losses, otherwise) if quality is None else quality.detach().to(losses)
    for what, value in ((f"has_{name}", there), (f"{name}_quality", score)):
        if value.shape != losses.shape:
            raise DataError(
                f"{what} must have the shape {tuple(losses.shape)} of {name}_losses; "
                f"got {tuple(value.shape)}."
            )
    if there.dtype != torch.bool:
        raise DataError(f"has_{name} must be bool, got {there.dtype}.")
    losses, score = losses.where(there, losses.new_zeros(())), score.where(there, otherwise)
    check_finite(**{f"{name}_losses": losses, f"{name}_quality": score})
    if not bool((losses.detach() >= 0).all()):
        raise DataError(f"{name}_losses must be at least 0: cross entropies of tokens.")
    if not bool(((score >= 0) & (score <= 1)).all()):
        raise DataError(f"{name}_quality must be in [0, 1].")
    return losses, score, there


def _pick(
    values: Tensor, weight: Tensor, there: Tensor, how: Literal["min", "max", "mean"]
) -> Tensor:
    """``weight * value`` of the smallest or largest value of a row, or the mean; 0 without any."""
    if values.shape[1] == 0:
        return values.sum(1)
    values = values.where(there, 0.0)
    if how == "mean":
        return (weight * values).sum(1) / there.sum(1).clamp(min=1)
    absent = torch.inf if how == "min" else -torch.inf
    shown = values.detach().masked_fill(~there, absent)
    place = (shown.argmin(1) if how == "min" else shown.argmax(1))[:, None]
    return (weight * values).gather(1, place)[:, 0]


class QCRD(Loss, function=qcrd):
    """`counterpoint.objectives.functional.qcrd` as a module."""

    def __init__(
        self,
        *,
        beta: float = 0.2,
        margin: float = 3.0,
        over_positives: OverPositives = "min",
        over_negatives: OverNegatives = "max",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            beta=beta,
            margin=margin,
            over_positives=over_positives,
            over_negatives=over_negatives,
            reduction=reduction,
        )

    def forward(
        self,
        positive_losses: Tensor,
        negative_losses: Tensor,
        *,
        positive_quality: Tensor | None = None,
        negative_quality: Tensor | None = None,
        has_positive: Tensor | None = None,
        has_negative: Tensor | None = None,
    ) -> Tensor:
        return self.call(
            positive_losses,
            negative_losses,
            positive_quality=positive_quality,
            negative_quality=negative_quality,
            has_positive=has_positive,
            has_negative=has_negative,
        )
