"""DBL: a target branch must beat an anchor branch by a margin, pair by pair.

The objectives take the matrix of similarities of a batch, because any model of two towers with
interaction gives one and no factors of it: ``scores[i, j]`` of image i and caption j, matched pairs
on the diagonal. All are sums over the queries of both directions, not means: rates of learning are
tied to the batch size (128 in the paper).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import check_choice, check_finite, check_not_negative, check_share
from counterpoint.errors import DataError
from counterpoint.objectives.pairwise import pairwise_loss
from counterpoint.objectives.registry import Loss, objective

Adaptation = Literal["none", "soft", "hard"]
Boost = Literal["relative", "absolute"]

ACROSS_RANKS = "the matrix of a rank is its own batch; gradients of ranks add up, values are local"
SOURCE = "Diao et al. 2024, Deep Boosting Learning, IEEE TIP, arXiv 2404.18114"
CEILING, FLOOR = 1.0, -1.0
"""Largest and smallest similarity, where adapted margins vanish."""


@objective(inputs="scores", across_ranks=ACROSS_RANKS, source=SOURCE)
def triplet_ranking(scores: Tensor, *, margin: float = 0.2, hardest: bool = True) -> Tensor:
    """``sum_i max_j [m + S_ij - S_ii]+ + sum_j max_i [m + S_ij - S_jj]+``, the base loss R.

    Started at random with the hardest negatives it may collapse to all similarities equal (loss
    2 N m): warm up with ``hardest=False``.

    Args:
        scores: similarities ``(N, N)``.
        margin: m, at least 0.
        hardest: the largest violation of each query, else the sum over its negatives.

    Returns:
        ``()``; 0 for a batch of one.

    Raises:
        DataError: scores that are not square or not finite.
        SettingError: negative margin.

    Source: Faghri et al., "VSE++", BMVC 2018, Eq. 6; as used by Diao et al., arXiv 2404.18114.
    """
    _check(margin, scores=scores)
    return _both_ways(lambda s: pairwise_loss(_ahead(s), "hinge", margin=margin), hardest, scores)


@objective(inputs="scores", across_ranks=ACROSS_RANKS, source=SOURCE)
def relative_boost(
    scores: Tensor,
    anchor_scores: Tensor,
    *,
    margin: float = 0.2,
    beta: float = 1.0,
    hardest: bool = True,
    adaptation: Adaptation = "none",
) -> Tensor:
    """``sum_i max_j [beta m + (A_ii - A_ij) - (S_ii - S_ij)]+``, and the same for captions.

    The negative chosen is the one where the target lags the anchor most. Nothing remains once every
    distance of the target exceeds the anchor's by ``beta m``; with S = A it is ``2 N beta m``.

    Args:
        scores: of the target ``(N, N)``.
        anchor_scores: of the anchor branch ``(N, N)``; no gradient.
        margin: m, at least 0.
        beta: scale of the margin, at least 0.
        hardest: the largest violation of each query, else their sum.
        adaptation: how the margin ``M = beta m`` shrinks where the anchor is near its best, at
            distance 2: ``"soft"`` ``M tanh((2 - e) / M)``, ``"hard"`` ``min(M, 2 - e)``. Use it
            when similarities saturate.

    Returns:
        ``()``; 0 for a batch of one.

    Raises:
        DataError: scores that are not square, of different shape or not finite.
        SettingError: negative margin or beta, unknown adaptation.

    Source: Diao et al., "Deep Boosting Learning", IEEE TIP 2024, arXiv 2404.18114.
    """
    _check(margin, beta, adaptation=adaptation, scores=scores, anchor_scores=anchor_scores)

    def violation(s: Tensor, a: Tensor) -> Tensor:
        reference = _ahead(a)
        room = _adapted(beta * margin, CEILING - FLOOR - reference, adaptation)
        return pairwise_loss(_ahead(s) - reference, "hinge", margin=room)

    return _both_ways(violation, hardest, scores, anchor_scores.detach())


@objective(inputs="scores", across_ranks=ACROSS_RANKS, source=SOURCE)
def absolute_boost(
    scores: Tensor,
    anchor_scores: Tensor,
    *,
    margin: float = 0.2,
    beta: float = 1.0,
    gamma: float = 0.5,
    hardest: bool = True,
    adaptation: Adaptation = "none",
) -> Tensor:
    """Positives above and negatives below the anchor's, each by its part of ``beta m``.

    ``2 sum_i [g beta m + A_ii - S_ii]+ + sum_i max_j [(1-g) beta m + S_ij - A_ij]+`` and the second
    sum for captions; the 2 balances both directions. With S = A and N >= 2 it is ``2 N beta m``.

    Args:
        scores: of the target ``(N, N)``.
        anchor_scores: of the anchor branch ``(N, N)``; no gradient.
        margin: m, at least 0.
        beta: scale of the margin, at least 0.
        gamma: g in [0, 1], the positives' part.
        hardest: the largest violation of each query, else their sum.
        adaptation: as `relative_boost`; positives have their best at 1, negatives at -1.

    Returns:
        ``()``; for a batch of one the positive part alone.

    Raises:
        DataError: scores that are not square, of different shape or not finite.
        SettingError: a setting out of range.

    Source: Diao et al., "Deep Boosting Learning", IEEE TIP 2024, arXiv 2404.18114.
    """
    _check(margin, beta, adaptation=adaptation, scores=scores, anchor_scores=anchor_scores)
    check_share(gamma=gamma)
    reference = anchor_scores.detach()
    matched = reference.diagonal()
    above = _adapted(gamma * beta * margin, CEILING - matched, adaptation)
    positives = pairwise_loss(scores.diagonal() - matched, "hinge", margin=above).sum()

    def violation(s: Tensor, a: Tensor) -> Tensor:
        below = _adapted((1 - gamma) * beta * margin, a - FLOOR, adaptation)
        return pairwise_loss(a - s, "hinge", margin=below)

    return 2 * positives + _both_ways(violation, hardest, scores, reference)


@objective(inputs="scores", across_ranks=ACROSS_RANKS, source=SOURCE)
def dbl(
    scores: Tensor,
    anchor_scores: Tensor | Sequence[Tensor],
    *,
    boost: Boost = "relative",
    margin: float = 0.2,
    beta: float = 1.0,
    gamma: float = 0.5,
    alpha: float = 1.0,
    hardest: bool = True,
    adaptation: Adaptation = "none",
) -> Tensor:
    """``R(S) + alpha B(S, A)``: `triplet_ranking` plus `relative_boost` or `absolute_boost`.

    The anchor branch itself is trained with `triplet_ranking` (offline and online), or is a moving
    average of the target. Of several branches the k-th boosts over the mean of all earlier ones.

    Args:
        scores: of the target ``(N, N)``.
        anchor_scores: of the anchor branch ``(N, N)``, or of several earlier branches; no gradient.
        boost: ``"relative"`` or ``"absolute"``.
        margin: m.
        beta: scale of the boosting margin.
        gamma: the positives' part of it, ``"absolute"`` only.
        alpha: weight of the boost.
        hardest: the largest violation of each query, else their sum.
        adaptation: ``"none"``, ``"soft"`` or ``"hard"``; see `relative_boost`.

    Returns:
        ``()``.

    Raises:
        DataError: scores that do not fit; no anchor.
        SettingError: a setting out of range.

    Source: Diao et al., "Deep Boosting Learning: A Brand-new Cooperative Approach for Image-Text
    Matching", IEEE TIP 2024, arXiv 2404.18114.
    """
    anchors = [anchor_scores] if isinstance(anchor_scores, Tensor) else list(anchor_scores)
    if not anchors:
        raise DataError("anchor_scores holds no branch to boost over; use triplet_ranking.")
    check_choice(Boost, boost=boost)
    boosts = [
        relative_boost(scores, a, margin=margin, beta=beta, hardest=hardest, adaptation=adaptation)
        if boost == "relative"
        else absolute_boost(
            scores,
            a,
            margin=margin,
            beta=beta,
            gamma=gamma,
            hardest=hardest,
            adaptation=adaptation,
        )
        for a in anchors
    ]
    base = triplet_ranking(scores, margin=margin, hardest=hardest)
    return base + alpha * torch.stack(boosts).mean()


def _ahead(scores: Tensor) -> Tensor:
    """``S_ii - S_ij``: how far the match of each row is ahead."""
    return scores.diagonal()[:, None] - scores


def _adapted(margin: float, room: Tensor, adaptation: str) -> Tensor | float:
    if adaptation == "none" or margin == 0:
        return margin
    room = room.clamp(min=0.0)
    if adaptation == "hard":
        return room.clamp(max=margin)
    return margin * torch.tanh(room / margin)


def _both_ways(violation: Callable[..., Tensor], hardest: bool, *matrices: Tensor) -> Tensor:
    """Violations of the queries of both sides, matched pairs set to 0, summed."""
    total = matrices[0].new_zeros(())
    for sides in (matrices, tuple(matrix.T for matrix in matrices)):
        lacking = violation(*sides)
        matched = torch.eye(len(lacking), dtype=torch.bool, device=lacking.device)
        lacking = lacking.masked_fill(matched, 0.0)
        total = total + (lacking.max(1).values if hardest else lacking).sum()
    return total


def _check(margin: float, beta: float = 1.0, adaptation: str = "none", **scores: Tensor) -> None:
    check_not_negative(margin=margin, beta=beta)
    check_choice(Adaptation, adaptation=adaptation)
    size = len(next(iter(scores.values())))
    for name, value in scores.items():
        if tuple(value.shape) != (size, size) or size == 0:
            raise DataError(
                f"{name} must be a square matrix, matched pairs on the diagonal, all of one size; "
                f"got {tuple(value.shape)}."
            )
        check_finite(**{name: value})


class TripletRanking(Loss, function=triplet_ranking):
    """`counterpoint.objectives.functional.triplet_ranking` as a module."""

    def __init__(self, *, margin: float = 0.2, hardest: bool = True) -> None:
        super().__init__(margin=margin, hardest=hardest)

    def forward(self, scores: Tensor) -> Tensor:
        return self.call(scores)


class RelativeBoost(Loss, function=relative_boost):
    """`counterpoint.objectives.functional.relative_boost` as a module."""

    def __init__(
        self,
        *,
        margin: float = 0.2,
        beta: float = 1.0,
        hardest: bool = True,
        adaptation: Adaptation = "none",
    ) -> None:
        super().__init__(margin=margin, beta=beta, hardest=hardest, adaptation=adaptation)

    def forward(self, scores: Tensor, anchor_scores: Tensor) -> Tensor:
        return self.call(scores, anchor_scores)


class AbsoluteBoost(Loss, function=absolute_boost):
    """`counterpoint.objectives.functional.absolute_boost` as a module."""

    def __init__(
        self,
        *,
        margin: float = 0.2,
        beta: float = 1.0,
        gamma: float = 0.5,
        hardest: bool = True,
        adaptation: Adaptation = "none",
    ) -> None:
        super().__init__(
            margin=margin, beta=beta, gamma=gamma, hardest=hardest, adaptation=adaptation
        )

    def forward(self, scores: Tensor, anchor_scores: Tensor) -> Tensor:
        return self.call(scores, anchor_scores)


class DBL(Loss, function=dbl):
    """`counterpoint.objectives.functional.dbl` as a module."""

    def __init__(
        self,
        *,
        boost: Boost = "relative",
        margin: float = 0.2,
        beta: float = 1.0,
        gamma: float = 0.5,
        alpha: float = 1.0,
        hardest: bool = True,
        adaptation: Adaptation = "none",
    ) -> None:
        super().__init__(
            boost=boost,
            margin=margin,
            beta=beta,
            gamma=gamma,
            alpha=alpha,
            hardest=hardest,
            adaptation=adaptation,
        )

    def forward(self, scores: Tensor, anchor_scores: Tensor | Sequence[Tensor]) -> Tensor:
        return self.call(scores, anchor_scores=anchor_scores)
