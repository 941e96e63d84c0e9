"""CWCL: every pair attracts by its similarity in the frozen modality."""

from __future__ import annotations

from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import two_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.objectives.duplicates import in_views
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.second_space import SecondSpace


@objective(
    inputs="pairs and similarity",
    across_ranks="positives and negatives are the rows of all ranks; mean over all pairs",
    source="Srinivasa et al. 2023, CWCL, arXiv 2309.14580",
)
def cwcl(
    x: Tensor,
    y: Tensor,
    similarity: Tensor,
    temperature: Temperature = 0.07,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-sum_j w_ij log p(y_j | x_i) / sum_j w_ij - log p(x_i | y_i)``.

    ``p`` is the softmax of ``cosine / temperature`` over all candidates and ``w_ij = (1 + cos(r_i,
    r_j)) / 2`` the similarity of pairs i and j inside the frozen modality. The two directions are
    added, not averaged: with ``w`` the identity this is twice `clip`.

    Args:
        x: the frozen modality, float ``(N, D)``.
        y: the modality that is trained, float ``(N, D)``; row i belongs to row i of x.
        similarity: ``r``, frozen features of the samples of x, float ``(N, Dr)``, or ``(N, C, Dr)``
            for the mean of C cosines; no gradient reaches them.
        temperature: positive; one number, a learnable scalar, or one value a pair ``(N,)``.
        normalize: divide every row of x and y by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over pairs.
        ids: int64 ``(N,)``; pairs of equal id are left out of each other's denominators; as
            positives they keep the weight of their similarity.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. With N = 1: 0.

    Raises:
        DataError: embeddings or features that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Srinivasa et al. 2023, CWCL: Cross-Modal Transfer with Continuously Weighted
    Contrastive Loss, arXiv 2309.14580.
    """
    check_reduction(reduction)
    n = same_rows(x=x, y=y, similarity=similarity)
    x, y = prepare(normalize, x=x, y=y)
    scale = inverse_temperature(temperature, n, x)
    along, down = two_way(
        x,
        y,
        scale,
        Terms(valid=in_views(ids, n, across_ranks)),
        pull=scale * SecondSpace(similarity).mean_similarity(x, y, across_ranks),
        reduction=reduction,
        across_ranks=across_ranks,
    )
    return along + down


class CWCL(Loss, function=cwcl):
    """`counterpoint.objectives.functional.cwcl` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(
        self, x: Tensor, y: Tensor, similarity: Tensor, *, ids: Tensor | None = None
    ) -> Tensor:
        return self.call(x, y, similarity, ids=ids)
