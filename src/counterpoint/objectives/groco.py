"""GroCo: all positives of an anchor above its hardest negatives, by soft sorting."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy
from torch.utils.checkpoint import checkpoint

from counterpoint.engine.checks import check_reduction, prepare, same_rows
from counterpoint.engine.nearest import nearest_candidates
from counterpoint.engine.ranks import gathered_rows, global_start
from counterpoint.engine.row_function import row_losses
from counterpoint.engine.rows import row_blocks
from counterpoint.engine.softmax import reduce_rows
from counterpoint.engine.terms import IndexFunction, Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.duplicates import negatives_only
from counterpoint.objectives.negatives import samples_seen
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.sorting import Network, Relaxation, upper_shares

SOURCE = (
    "Shvetsova et al. 2023, Learning by Sorting: Self-supervised Learning with Group Ordering "
    "Constraints, arXiv 2301.02009"
)


@objective(
    inputs="views",
    across_ranks="negatives are the rows of the same view on all ranks; mean over all anchors",
    source=SOURCE,
)
def groco(
    *views: Tensor,
    hardest: int = 10,
    positive_views: int | None = None,
    steepness: float = 1.0,
    relaxation: Relaxation = "cauchy",
    network: Network = "odd_even",
    art_lambda: float = 0.25,
    stop_gradient: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-mean_r [y_r log p_r + (1 - y_r) log(1 - p_r)]`` of softly sorted similarities.

    An anchor's scores are its ``hardest`` negatives (other samples of the SAME view) and its
    positives (its other positive views), each group in rising order, negatives first. p_r is the
    soft probability that score r ends among the highest ranks, as many as there are positives
    (`counterpoint.pairs.sorting`); y_r is 1 for positives. Order within a group does not matter.

    Gradients are of order 1e-5: the authors' learning rate is 24 at a batch of 1024. Let the head
    end in batch normalisation, or a cold start stays collapsed.

    Args:
        views: at least 2 views, each float ``(N, D)``, N at least 2; normalised here.
        hardest: k, negatives kept; fewer where there are fewer.
        positive_views: the first so many views are positives (2 with multi-crop); None for all.
        steepness: of the comparisons, above 0.
        relaxation: of the comparisons.
        network: ``"odd_even"``, or ``"bitonic"`` for hundreds of scores.
        art_lambda: of the relaxation logistic_phi.
        stop_gradient: positives and negatives are constants; the anchor keeps its gradient.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over the anchors of all views, z1's first.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(V N,)`` without reduction.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity, a single view or sample, an
            anchor with fewer than the kept negatives once duplicates are out.
        SettingError: a setting out of range.

    Source: Shvetsova et al. 2023, Learning by Sorting, ICCV 2023, arXiv 2301.02009.
    """
    check_reduction(reduction)
    z, positive, kept, valid = _prepared(views, hardest, positive_views, ids, across_ranks)

    def of_block(anchors: Tensor, pool: Tensor, places: Tensor, mine: Tensor) -> Tensor:
        negatives = torch.linalg.vecdot(anchors[:, None], pool[places]).flip(1)
        scores = torch.cat([negatives, mine.sort(1).values], 1)
        share = upper_shares(
            scores, kept, network, relaxation, steepness=steepness, art_lambda=art_lambda
        ).clamp(0, 1)
        target = (torch.arange(scores.shape[1], device=scores.device) >= kept).to(scores.dtype)
        return binary_cross_entropy(share, target.expand_as(share), reduction="none").mean(1)

    values = []
    for a, anchors in enumerate(z):
        others = [z[b] for b in range(positive) if b != a]
        pool = gathered_rows(anchors) if across_ranks else anchors
        if stop_gradient:
            others, pool = [other.detach() for other in others], pool.detach()
        mine = torch.stack([torch.linalg.vecdot(anchors, other) for other in others], 1)
        first = global_start(anchors) if across_ranks else 0
        places, there = nearest_candidates(anchors, pool, kept, valid, first)
        if not bool(there.all()):
            raise DataError(f"An anchor has fewer than {kept} negatives; set hardest lower.")
        values += [
            checkpoint(of_block, anchors[part], pool, places[part], mine[part], use_reentrant=False)
            for part in row_blocks(len(anchors), kept * anchors.shape[1])
        ]
    return reduce_rows(torch.cat(values), None, reduction, across_ranks)


@torch.no_grad()
def group_gap(
    *views: Tensor, hardest: int = 10, positive_views: int | None = None
) -> dict[str, Tensor]:
    """What the authors log of the first view's anchors, each ``()``, the mean over samples.

    Args:
        views: as `groco`.
        hardest: as `groco`.
        positive_views: as `groco`.

    Returns:
        ``positive_max``, ``positive_min``, ``negative_max``, ``negative_min`` (of the kept), and
        ``gap``, the smallest positive less the largest negative: above 0 where the order holds.

    Source: Shvetsova et al. 2023, arXiv 2301.02009, authors' code.
    """
    z, positive, kept, valid = _prepared(views, hardest, positive_views, None, False)
    mine = torch.stack([torch.linalg.vecdot(z[0], z[b]) for b in range(1, positive)], 1)

    def extreme(place: int) -> Tensor:
        def of_rows(s: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return s.masked_fill(~valid(i, j), -torch.inf).topk(kept, dim=1).values[:, place]

        return row_losses(of_rows, z[0], z[0], z[0].new_ones(())).mean()

    largest = extreme(0)
    return {
        "positive_max": mine.amax(1).mean(),
        "positive_min": mine.amin(1).mean(),
        "negative_max": largest,
        "negative_min": extreme(kept - 1),
        "gap": mine.amin(1).mean() - largest,
    }


def _prepared(
    views: Sequence[Tensor],
    hardest: int,
    positive_views: int | None,
    ids: Tensor | None,
    across_ranks: bool,
) -> tuple[list[Tensor], int, int, IndexFunction]:
    """Unit rows, number of positive views, negatives kept, and who is a negative."""
    if len(views) < 2:
        raise DataError("There must be at least two views; one has no positives to sort.")
    positive = len(views) if positive_views is None else positive_views
    if not 2 <= positive <= len(views):
        raise SettingError(f"positive_views must lie in 2..{len(views)}, not {positive_views}.")
    if hardest < 1:
        raise SettingError(f"hardest must be at least 1, not {hardest}.")
    named = {f"z{number}": view for number, view in enumerate(views, 1)}
    same_rows(**named)
    rows = samples_seen(views[0], across_ranks)
    z = prepare(True, **named)
    return (
        z,
        positive,
        min(hardest, rows - 1),
        negatives_only(ids, None, z[0], 0, True, across_ranks),
    )


class GroCo(Loss, function=groco):
    """`counterpoint.objectives.functional.groco` as a module."""

    def __init__(
        self,
        *,
        hardest: int = 10,
        positive_views: int | None = None,
        steepness: float = 1.0,
        relaxation: Relaxation = "cauchy",
        network: Network = "odd_even",
        art_lambda: float = 0.25,
        stop_gradient: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            hardest=hardest,
            positive_views=positive_views,
            steepness=steepness,
            relaxation=relaxation,
            network=network,
            art_lambda=art_lambda,
            stop_gradient=stop_gradient,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, *views: Tensor, ids: Tensor | None = None) -> Tensor:
        return self.call(*views, ids=ids)
