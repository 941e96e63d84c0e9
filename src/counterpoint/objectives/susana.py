"""Losses of an episode: the nearest wrong prototype, and the score of neighbourhoods."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_finite, check_integers, check_not_negative
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.icnn_score import distances, icnn_score
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.prototypes import class_means

SOURCE = "Mendez-Ruiz et al. 2023, SuSana Distancia is all you need, arXiv 2305.09062"
SMALLEST_SCORE = 1e-12


@objective(
    inputs="prototypes",
    across_ranks="a rank has its own episode; ranks average it",
    ranks="rows",
    source=SOURCE,
)
def proto_triplet(
    queries: Tensor,
    labels: Tensor,
    support: Tensor,
    support_labels: Tensor,
    *,
    margin: float = 0.5,
    reduction: Reduction = "mean",
) -> Tensor:
    """``max(d(q, p_y) - min_{w != y} d(q, p_w) + m, 0)``, p the class means of the support.

    ``d(a, b) = sqrt(||a - b||^2 + 1e-6)`` of embeddings as they are, so the margin is in their
    units. 0, with no gradient, once every query is nearer to its own prototype by it. Add the loss
    to the cross entropy of an episode and halve.

    Args:
        queries: ``(Q, D)``.
        labels: 0 .. W - 1, int64 ``(Q,)``.
        support: ``(S, D)``, with gradient; every class has a row, W at least 2.
        support_labels: int64 ``(S,)``.
        margin: m >= 0.
        reduction: over all queries, zeros included.

    Returns:
        ``()``, or ``(Q,)`` without reduction.

    Raises:
        DataError: shapes or labels that do not fit, a class without support, NaN, infinity.
        SettingError: margin or reduction out of range.

    Source: Mendez-Ruiz et al. 2023, arXiv 2305.09062, Proto-Triplet loss.
    """
    check_not_negative(margin=margin)
    if queries.dim() != 2 or support.dim() != 2 or queries.shape[1] != support.shape[1]:
        raise DataError(
            f"queries {tuple(queries.shape)} and support {tuple(support.shape)} must be matrices "
            "of one width."
        )
    check_finite(queries=queries, support=support)
    support_labels = check_integers("support_labels", support_labels, len(support))
    ways = int(support_labels.max()) + 1
    prototypes, counts = class_means(support, support_labels, ways)
    if ways < 2 or int(counts.min()) == 0:
        raise DataError("Every one of at least two classes needs a row of support.")
    labels = check_integers("labels", labels, len(queries), classes=ways)
    d = distances(queries[:, None], prototypes)
    own = torch.arange(ways, device=d.device) == labels[:, None]
    wrong = d.masked_fill(own, torch.inf).amin(1)
    right = d.gather(1, labels[:, None])[:, 0]
    return reduce((right - wrong + margin).clamp(min=0), reduction)


@objective(
    inputs="features",
    across_ranks="a rank has its own episode; ranks average it",
    source=SOURCE,
)
def icnn(
    x: Tensor,
    labels: Tensor,
    among: Tensor | None = None,
    among_labels: Tensor | None = None,
    *,
    k: int = 4,
    neighbours: int | None = None,
    drop_first: bool = True,
) -> Tensor:
    """``-log`` of `counterpoint.objectives.icnn_score.icnn_score`, clamped below at 1e-12.

    Support alone, queries against support or prototypes (``among``), or both pooled with
    ``neighbours`` = shots + queries a class. With one shot take the last two: support alone has no
    neighbour of its own class.

    Args:
        x: ``(N, D)``, as they are.
        labels: int64 ``(N,)``.
        among: where neighbours are sought ``(M, D)``; None for x.
        among_labels: int64 ``(M,)``.
        k: neighbours scored.
        neighbours: neighbours sought; None for k + 1.
        drop_first: leave out the nearest.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, too few points, NaN, infinity.
        SettingError: a setting out of range.

    Source: Mendez-Ruiz et al. 2023, arXiv 2305.09062, released ICNN loss.
    """
    score = icnn_score(
        x, labels, among, among_labels, k=k, neighbours=neighbours, drop_first=drop_first
    )
    return -score.clamp(min=SMALLEST_SCORE).log()


class ProtoTriplet(Loss, function=proto_triplet):
    """`counterpoint.objectives.functional.proto_triplet` as a module."""

    def __init__(self, *, margin: float = 0.5, reduction: Reduction = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)

    def forward(
        self, queries: Tensor, labels: Tensor, support: Tensor, support_labels: Tensor
    ) -> Tensor:
        return self.call(queries, labels, support, support_labels)


class ICNN(Loss, function=icnn):
    """`counterpoint.objectives.functional.icnn` as a module."""

    def __init__(
        self, *, k: int = 4, neighbours: int | None = None, drop_first: bool = True
    ) -> None:
        super().__init__(k=k, neighbours=neighbours, drop_first=drop_first)

    def forward(
        self,
        x: Tensor,
        labels: Tensor,
        among: Tensor | None = None,
        among_labels: Tensor | None = None,
    ) -> Tensor:
        return self.call(x, labels, among=among, among_labels=among_labels)
