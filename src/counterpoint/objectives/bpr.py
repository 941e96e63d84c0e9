"""BPR: an item a user has chosen scores above one that the user has not."""

from __future__ import annotations

from torch import Tensor

from counterpoint.engine.checks import check_finite
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.pairwise import pairwise_loss
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="scores",
    across_ranks="a pair has its own loss; ranks of equal batches average it",
    ranks="rows",
    source="Rendle et al. 2009, BPR: Bayesian Personalized Ranking from Implicit Feedback",
)
def bpr(positive: Tensor, negative: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``-log sigmoid(r(u, i) - r(u, j))``: the chosen item i against an item j not chosen.

    Args:
        positive: scores r(u, i), any shape.
        negative: scores r(u, j), of a shape that broadcasts to it.
        reduction: over pairs.

    Returns:
        ``()``, or one value a pair without reduction.

    Raises:
        DataError: shapes that do not fit, NaN, infinity.

    Source: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.
    """
    sides = zip(positive.shape[::-1], negative.shape[::-1], strict=False)
    if not all(a == b or 1 in (a, b) for a, b in sides):
        raise DataError(
            f"positive {tuple(positive.shape)} and negative {tuple(negative.shape)} do not fit."
        )
    check_finite(positive=positive, negative=negative)
    return reduce(pairwise_loss(positive - negative), reduction)


def embedding_penalty(*embeddings: Tensor) -> Tensor:
    """``sum_k mean_b |e_k,b|^2`` of embeddings ``(B, D)``: the weight decay of recommenders.

    It takes the rows that a step uses, before any propagation over a graph.
    """
    parts = [x.square().sum(-1).mean() for x in embeddings]
    if not parts:
        raise DataError("There is nothing to penalise.")
    return sum(parts[1:], start=parts[0])


class BPR(Loss, function=bpr):
    """`counterpoint.objectives.functional.bpr` as a module."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        return self.call(positive, negative)
