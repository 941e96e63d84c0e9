"""P2C: a classifier learns which of two texts of a class is the better example of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from counterpoint.engine.checks import check_finite, check_integers
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.pairwise import pairwise_loss
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

FLOOR = 1e-8
"""Added to probabilities inside logarithms of the preference heads."""

NO_PARTNER = -1


class Parts(NamedTuple):
    """The four parts of the loss, unweighted, each ``()``."""

    classification: Tensor
    consistency: Tensor
    preference: Tensor
    diversity: Tensor


@objective(
    inputs="logits",
    across_ranks="a pair has its own loss; ranks of equal batches average it",
    ranks="rows",
    source="Kim et al. 2023, Prefer to Classify, arXiv 2306.04925",
)
def p2c(
    logits1: Tensor,
    logits2: Tensor,
    scores1: Tensor,
    scores2: Tensor,
    labels: Tensor,
    preference: Tensor,
    *,
    classification_weight: float = 1.0,
    consistency_weight: float = 1.0,
    preference_weight: float = 1.0,
    diversity_weight: float = 0.1,
    votes1: Tensor | None = None,
    votes2: Tensor | None = None,
) -> Tensor:
    """``w_cls L_cls + w_cons L_cons + w_pref L_pref - w_div L_div``; diversity is SUBTRACTED.

    - ``L_cls``: mean of the cross entropies of both texts of a pair.
    - ``L_cons``: the preferred text has the higher probability of the label,
      ``max(0, p_y(other) - p_y(preferred))``; ``|p_y(x1) - p_y(x2)|`` where none is preferred. With
      votes: see `vote_consistency`.
    - ``L_pref``: each head prefers rightly, ``-log sigmoid(s(preferred) - s(other))``, half of it
      both ways where none is preferred; mean over heads.
    - ``L_div``: cross entropy between the preferences of every two heads, the first one detached.

    Logarithms of preferences are of ``P + 1e-8``. Keep ``diversity_weight`` at or below 1 and the
    scores in (-1, 1): only that bounds what is subtracted.

    Args:
        logits1: classifier logits of the first texts ``(B, C)``.
        logits2: of the second texts ``(B, C)``.
        scores1: preference scores ``(H, B)`` of the first texts, tanh of the heads.
        scores2: ``(H, B)``.
        labels: int64 ``(B,)``, the label both texts of a pair carry.
        preference: int64 ``(B,)``: 1 the first, 0 the second, 2 none, -1 no partner: such a row
            counts in ``L_cls`` only (give its text twice).
        classification_weight: of L_cls.
        consistency_weight: of L_cons; the paper tunes 0.1 or 1.
        preference_weight: of L_pref.
        diversity_weight: of L_div; 0.1 or 1.
        votes1: label distribution of the annotators ``(B, C)``; with ``votes2`` it replaces
            ``L_cons`` by `vote_consistency`.
        votes2: ``(B, C)``.

    Returns:
        ``()``. With one head there is no diversity term.

    Raises:
        DataError: shapes that do not fit, NaN or infinity, labels or preferences out of range.

    Source: Kim et al., "Prefer to Classify: Improving Text Classifiers via Auxiliary Preference
    Learning", ICML 2023, arXiv 2306.04925.
    """
    parts = p2c_parts(
        logits1, logits2, scores1, scores2, labels, preference, votes1=votes1, votes2=votes2
    )
    return (
        classification_weight * parts.classification
        + consistency_weight * parts.consistency
        + preference_weight * parts.preference
        - diversity_weight * parts.diversity
    )


def p2c_parts(
    logits1: Tensor,
    logits2: Tensor,
    scores1: Tensor,
    scores2: Tensor,
    labels: Tensor,
    preference: Tensor,
    *,
    votes1: Tensor | None = None,
    votes2: Tensor | None = None,
) -> Parts:
    """The parts of `p2c` by name; arguments and errors as there."""
    labels, preference = _check(logits1, logits2, scores1, scores2, labels, preference)
    if (votes1 is None) != (votes2 is None):
        raise DataError("votes1 and votes2 go together; only one is given.")
    paired = preference != NO_PARTNER
    gap = scores1 - scores2
    if votes1 is None or votes2 is None:
        consistency = reduce(_consistency(logits1, logits2, labels, preference), "mean", paired)
    else:
        each = vote_consistency(logits1, logits2, votes1, votes2, reduction="none")
        consistency = reduce(each, "mean", paired)
    return Parts(
        (cross_entropy(logits1, labels) + cross_entropy(logits2, labels)) / 2,
        consistency,
        reduce(_preference(gap, preference).mean(0), "mean", paired),
        reduce(_diversity(gap), "mean", paired),
    )


def vote_consistency(
    logits1: Tensor,
    logits2: Tensor,
    votes1: Tensor,
    votes2: Tensor,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """``sum_c max(0, s_c (dv_c - dp_c))``: probabilities differ at least as much as votes do.

    ``dv = v(x1) - v(x2)`` of the votes, ``dp = p(x1) - p(x2)`` of the probabilities, ``s_c`` the
    sign of ``dv_c``, 1 where it is 0: there it is ``max(0, -dp_c)``, not symmetric in the texts.

    Args:
        logits1: ``(B, C)``.
        logits2: ``(B, C)``.
        votes1: label distribution of the annotators ``(B, C)``.
        votes2: ``(B, C)``.
        reduction: over pairs.

    Returns:
        ``()``, or ``(B,)`` without reduction.

    Raises:
        DataError: shapes that differ, NaN or infinity.
    """
    check_finite(logits1=logits1, logits2=logits2, votes1=votes1, votes2=votes2)
    if not logits1.shape == logits2.shape == votes1.shape == votes2.shape:
        raise DataError("logits1, logits2, votes1 and votes2 must have one shape (B, C).")
    dv = votes1 - votes2
    dp = logits1.softmax(1) - logits2.softmax(1)
    sign = torch.where(dv >= 0, 1.0, -1.0).to(dp.dtype)
    return reduce(pairwise_loss(sign * dp, "hinge", margin=sign * dv).sum(1), reduction)


def _consistency(logits1: Tensor, logits2: Tensor, labels: Tensor, preference: Tensor) -> Tensor:
    ahead = (logits1.softmax(1) - logits2.softmax(1)).gather(1, labels[:, None])[:, 0]
    stated = pairwise_loss(torch.where(preference == 1, ahead, -ahead), "hinge")
    return torch.where(preference == 2, ahead.abs(), stated)


def _preference(gap: Tensor, preference: Tensor) -> Tensor:
    first = torch.where(preference == 2, 0.5, (preference == 1).to(gap.dtype))
    return _cross_entropy(first, gap)


def _diversity(gap: Tensor) -> Tensor:
    """Per pair ``(B,)``; every head against the summed preferences of the other heads."""
    heads = len(gap)
    if heads == 1:
        return torch.zeros_like(gap[0])
    chance = torch.sigmoid(gap).detach()
    others = (chance.sum(0) - chance) / (heads - 1)
    return _cross_entropy(others, gap).mean(0)


def _cross_entropy(first: Tensor, gap: Tensor) -> Tensor:
    forth, back = pairwise_loss(gap, floor=FLOOR), pairwise_loss(-gap, floor=FLOOR)
    return first * forth + (1 - first) * back


def _check(
    logits1: Tensor,
    logits2: Tensor,
    scores1: Tensor,
    scores2: Tensor,
    labels: Tensor,
    preference: Tensor,
) -> tuple[Tensor, Tensor]:
    check_finite(logits1=logits1, logits2=logits2, scores1=scores1.T, scores2=scores2.T)
    if logits1.dim() != 2 or logits1.shape != logits2.shape or len(logits1) == 0:
        raise DataError(
            "logits1 and logits2 must have one shape (B, C), B at least 1; got "
            f"{tuple(logits1.shape)} and {tuple(logits2.shape)}."
        )
    rows, classes = logits1.shape
    if scores1.dim() != 2 or scores1.shape != scores2.shape or scores1.shape[1] != rows:
        raise DataError(
            f"scores1 and scores2 must be (H, {rows}), a row a preference head; got "
            f"{tuple(scores1.shape)} and {tuple(scores2.shape)}."
        )
    labels = check_integers("labels", labels, rows)
    preference = check_integers("preference", preference, rows)
    for name, values, least, most in (
        ("labels", labels, 0, classes - 1),
        ("preference", preference, NO_PARTNER, 2),
    ):
        bad = ((values < least) | (values > most)).nonzero().flatten()
        if len(bad):
            raise DataError(
                f"{name} must be in {least}..{most}; row {int(bad[0])} is {int(values[bad[0]])}."
            )
    return labels, preference


class P2C(Loss, function=p2c):
    """`counterpoint.objectives.functional.p2c` as a module."""

    def __init__(
        self,
        *,
        classification_weight: float = 1.0,
        consistency_weight: float = 1.0,
        preference_weight: float = 1.0,
        diversity_weight: float = 0.1,
    ) -> None:
        super().__init__(
            classification_weight=classification_weight,
            consistency_weight=consistency_weight,
            preference_weight=preference_weight,
            diversity_weight=diversity_weight,
        )

    def forward(
        self,
        logits1: Tensor,
        logits2: Tensor,
        scores1: Tensor,
        scores2: Tensor,
        labels: Tensor,
        preference: Tensor,
        *,
        votes1: Tensor | None = None,
        votes2: Tensor | None = None,
    ) -> Tensor:
        return self.call(
            logits1, logits2, scores1, scores2, labels, preference, votes1=votes1, votes2=votes2
        )
