"""MoCHi: each query meets harder negatives, mixed on the fly from its hardest ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.rows import row_blocks
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import IndexFunction, Reduction, Terms
from counterpoint.errors import SettingError
from counterpoint.objectives.duplicates import in_bank, in_views, negatives_only
from counterpoint.objectives.negatives import samples_seen
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.mixing import Mixtures, check_hardest, draw_mixtures, hardest_rows

SOURCE = "Kalantidis et al. 2020, Hard Negative Mixing for Contrastive Learning, arXiv 2010.01028"
MOST = 1024
"""Rows of a batch that are mixed from at most, where no number is given."""


@objective(
    inputs="queue",
    across_ranks="a rank has its own queries and its copy of the queue; ranks average it",
    source=SOURCE,
)
def mochi(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    temperature: Temperature = 0.2,
    *,
    hardest: int = 1024,
    pairs: int = 512,
    with_query: int = 256,
    mixtures: Mixtures | None = None,
    mixable: IndexFunction | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    negative_ids: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``-q k / t + log(exp(q k / t) + sum_n exp(q n / t) + sum_h exp(q h / t))``, h synthetic.

    For every query the points h are made from its ``hardest`` rows n of the queue::

        pairs of them:      unit(alpha n + (1 - alpha) n'),   alpha ~ U(0, 1)
        with_query of them: unit(beta q + (1 - beta) n),      beta ~ U(0, 0.5)

    They are constants: the gradient reaches q only through the products. They add ``pairs +
    with_query`` columns to the real queue; with both 0 this is `info_nce` against a queue (MoCo).
    The name MoCHi (N, s, s') of the paper is (hardest, pairs, with_query); take hardest about 1 to
    2 % of the queue and start only once the queue holds real keys.

    Args:
        queries: float ``(B, D)``, with gradient.
        keys: float ``(B, D)``, the positives; no gradient.
        queue: float ``(K, D)``; no gradient.
        temperature: positive; one number, a learnable scalar, or one value a query ``(B,)``.
        hardest: N, at most K.
        pairs: s, mixtures of two negatives.
        with_query: s', mixtures of the query and a negative, harder than their negative.
        mixtures: drawn before, so that a step can be replayed; then the three numbers are not used.
        mixable: ``mixable(i, j)``, which rows of the queue may be mixed for query i, e.g. those of
            another class (the oracle of the paper). Rows with the query's id never are.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over queries.
        ids: int64 ``(B,)``; rows of the queue with the id of a query are not its negatives.
        negative_ids: int64 ``(K,)``, the ids of the queue.
        generator: of the draws.

    Returns:
        ``()``, or ``(B,)`` without reduction; larger than without synthetic points.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity, too few rows to mix.
        SettingError: a setting out of range.

    Source: Kalantidis et al. 2020, Hard Negative Mixing for Contrastive Learning, Section 3.
    """
    check_reduction(reduction)
    n = same_rows(queries=queries, keys=keys)
    q, k, bank = prepare(normalize, queries=queries, keys=keys.detach(), queue=queue.detach())
    scale = inverse_temperature(temperature, n, q)
    valid = in_bank(ids, negative_ids, n, len(bank), False, False)
    if mixtures is None and pairs + with_query:
        mixtures = _drawn(q, bank, hardest, _both(valid, mixable), pairs, with_query, generator)
    pull = scale * torch.linalg.vecdot(q, k)
    extra = _columns(q, bank, scale, mixtures, [pull[:, None]])
    loss, _ = one_way(
        q, bank, scale, Terms(valid=valid), pull=pull, extra=extra, reduction=reduction
    )
    return loss


@objective(
    inputs="two views",
    across_ranks="a rank contrasts and mixes its own batch; ranks average it",
    source=f"{SOURCE}; in one batch, without a queue",
)
def mochi_in_batch(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature = 0.2,
    *,
    hardest: int | None = None,
    pairs: int = 16,
    with_query: int = 16,
    mixtures: Mixtures | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`nt_xent` with the synthetic negatives of `mochi`, mixed from the other samples of the batch.

    The mixtures are constants; the real negatives keep their gradient.

    Args:
        z1: first view, float ``(N, D)``, N at least 2.
        z2: second view, float ``(N, D)``.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(2N,)``.
        hardest: rows of ``cat([z1, z2])`` mixed from, at most 2N - 2; None takes a quarter of
            them, up to the 1024 of `mochi`.
        pairs: mixtures of two negatives.
        with_query: mixtures of the anchor and a negative.
        mixtures: drawn before, of the 2N anchors from the 2N rows.
        normalize: divide every row by its length.
        reduction: over the 2N anchors, z1's first.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        generator: of the draws.

    Returns:
        ``()``, or ``(2N,)`` without reduction.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity, a single sample.
        SettingError: a setting out of range.

    Source: Kalantidis et al. 2020, arXiv 2010.01028; the form without a queue is ours.
    """
    check_reduction(reduction)
    same_rows(z1=z1, z2=z2)
    n = samples_seen(z1, across_ranks=False)
    z1, z2 = prepare(normalize, z1=z1, z2=z2)
    z = torch.cat([z1, z2])
    scale = inverse_temperature(temperature, 2 * n, z)
    if mixtures is None and pairs + with_query:
        own = torch.arange(n, device=z.device) if ids is None else ids
        apart = negatives_only(own.repeat(2), None, z, 0, True, False)
        count = min(max(1, (2 * n - 2) // 4), MOST) if hardest is None else hardest
        mixtures = _drawn(z, z, count, apart, pairs, with_query, generator)
    pull = scale * torch.linalg.vecdot(z1, z2).repeat(2)
    loss, _ = one_way(
        z,
        z,
        scale,
        Terms(excluded=(0,), valid=in_views(ids, n, False, (2, 2))),
        pull=pull,
        extra=_columns(z, z, scale, mixtures, []),
        reduction=reduction,
    )
    return loss


def _both(valid: IndexFunction | None, mixable: IndexFunction | None) -> IndexFunction | None:
    if valid is None or mixable is None:
        return valid if mixable is None else mixable

    def of_both(i: Tensor, j: Tensor) -> Tensor:
        return valid(i, j) & mixable(i, j)

    return of_both


@torch.no_grad()
def _drawn(
    anchors: Tensor,
    pool: Tensor,
    hardest: int,
    mixable: IndexFunction | None,
    pairs: int,
    with_query: int,
    generator: torch.Generator | None,
) -> Mixtures:
    """Mixtures of the hardest rows, whose places are drawn before the rows are found, in blocks."""
    check_hardest(hardest, pool)
    places = torch.arange(hardest, device=anchors.device).expand(len(anchors), -1)
    drawn = draw_mixtures(places, pairs, with_query, anchors, generator)
    for part in row_blocks(len(anchors), len(pool)):
        hard = hardest_rows(anchors[part], pool, hardest, mixable, part.start)
        for parents in (drawn.first, drawn.second, drawn.partner):
            parents[part] = hard.gather(1, parents[part])
    return drawn


def _columns(
    anchors: Tensor, pool: Tensor, scale: Tensor, mixtures: Mixtures | None, more: list[Tensor]
) -> Tensor | None:
    """Logits of the synthetic points beside those given."""
    if mixtures is not None:
        if len(mixtures.first) != len(anchors):
            raise SettingError(
                f"The mixtures are of {len(mixtures.first)} anchors, and there are {len(anchors)}."
            )
        per_row = scale.expand(len(anchors))[:, None]
        more = [*more, per_row * mixtures.similarities(anchors, pool)]
    return torch.cat(more, 1) if more else None


class MoCHi(Loss, function=mochi):
    """`counterpoint.objectives.functional.mochi` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.2,
        *,
        hardest: int = 1024,
        pairs: int = 512,
        with_query: int = 256,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            hardest=hardest,
            pairs=pairs,
            with_query=with_query,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        queue: Tensor,
        *,
        mixtures: Mixtures | None = None,
        mixable: IndexFunction | None = None,
        ids: Tensor | None = None,
        negative_ids: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.call(
            queries,
            keys,
            queue,
            mixtures=mixtures,
            mixable=mixable,
            ids=ids,
            negative_ids=negative_ids,
            generator=generator,
        )


class MoCHiInBatch(Loss, function=mochi_in_batch):
    """`counterpoint.objectives.functional.mochi_in_batch` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.2,
        *,
        hardest: int | None = None,
        pairs: int = 16,
        with_query: int = 16,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            hardest=hardest,
            pairs=pairs,
            with_query=with_query,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        *,
        mixtures: Mixtures | None = None,
        ids: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.call(z1, z2, mixtures=mixtures, ids=ids, generator=generator)
