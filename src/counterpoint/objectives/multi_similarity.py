"""Multi-similarity: soft maxima of the far positives and of the near negatives, apart."""

from __future__ import annotations

from torch import Tensor

from counterpoint.engine.checks import check_integers, check_positive, check_reduction, prepare
from counterpoint.engine.ranks import peer_rows
from counterpoint.engine.softmax import row_way
from counterpoint.engine.terms import Reduction
from counterpoint.objectives.masked import log_sum_with_zero
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.same_label import UNKNOWN


@objective(
    inputs="labels",
    across_ranks="pairs with the rows of all ranks; mean over all anchors of a known class",
    source="Wang et al. 2019, Multi-Similarity Loss, arXiv 1904.06627, Eq. 12",
)
def multi_similarity(
    z: Tensor,
    labels: Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    normalize: bool = True,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """``log(1 + sum_p e^(-alpha (s_p - m))) / alpha + log(1 + sum_n e^(beta (s_n - m))) / beta``.

    p runs over the other rows of the anchor's class, n over the rows of other classes, without
    mining; an empty sum gives 0.

    Args:
        z: float ``(N, D)``.
        labels: int64 ``(N,)``; rows of -1 (unknown) take no part.
        alpha: sharpness of the positives, above 0.
        beta: sharpness of the negatives, above 0.
        base: m, the similarity at which a pair begins to weigh.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors of a known class.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Wang et al. 2019, Multi-Similarity Loss with General Pair Weighting for Deep Metric
    Learning, CVPR 2019, arXiv 1904.06627, Eq. 12.
    """
    check_reduction(reduction)
    check_positive(alpha=alpha, beta=beta)
    (z,) = prepare(normalize, z=z)
    own = check_integers("labels", labels, len(z))
    y = peer_rows(own) if across_ranks else own

    def of_rows(s: Tensor, i: Tensor, j: Tensor) -> Tensor:
        known = (y[i] != UNKNOWN) & (y[j] != UNKNOWN)
        same = y[i] == y[j]
        near = log_sum_with_zero(alpha * (base - s), known & same & (i != j)) / alpha
        return near + log_sum_with_zero(beta * (s - base), known & ~same) / beta

    return row_way(
        of_rows,
        z,
        z,
        z.new_ones(()),
        counted=own != UNKNOWN,
        reduction=reduction,
        across_ranks=across_ranks,
    )


class MultiSimilarity(Loss, function=multi_similarity):
    """`counterpoint.objectives.functional.multi_similarity` as a module."""

    def __init__(
        self,
        *,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            alpha=alpha,
            beta=beta,
            base=base,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.call(z, labels)
