"""The loss of the global batch, computed by several processes.

Every rank holds some rows and returns the same global value. The gradient it delivers to its own
rows is that of the global loss times the number of ranks, so that the average over ranks which
``DistributedDataParallel`` takes of parameter gradients is exactly the gradient of one process
holding all rows. With ``reduction="none"`` a rank gets the losses of its own rows and the plain
gradient of whatever is made of them.

Candidates travel pairwise: at step k a rank sends its own shard to rank - k and receives that of
rank + k, so it never holds more than one remote shard. All ranks must run the same forward and
backward passes in the same order.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from counterpoint.engine.rows import (
    Gradients,
    Problem,
    Rows,
    RowSums,
    diagonal_logits,
    extra_gradient,
    extra_total,
    like_scale,
)
from counterpoint.engine.similarity import LN2, refuse_double_backward, without_autocast
from counterpoint.engine.terms import Terms


def is_distributed() -> bool:
    """Whether several processes work together."""
    return world_size() > 1


def world_size() -> int:
    """The number of ranks; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process; 0 without ``torch.distributed``."""
    return dist.get_rank() if world_size() > 1 else 0


def rows_by_rank(rows: int, device: torch.device) -> list[int]:
    """How many rows every rank holds."""
    if world_size() == 1:
        return [rows]
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor([rows], dtype=torch.int64, device=device))
    return [int(size) for size in sizes]


def global_start(rows: Tensor) -> int:
    """Position of this rank's first row among those of all ranks."""
    return sum(rows_by_rank(len(rows), rows.device)[: rank()])


def global_positions(rows: Tensor, across_ranks: bool) -> Tensor:
    """Positions of this rank's rows among those of all ranks, int64 ``(n,)``."""
    first = global_start(rows) if across_ranks else 0
    return torch.arange(first, first + len(rows), device=rows.device)


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks in the order of ranks, without gradient; sizes may differ.

    Args:
        rows: ``(n, ...)``, the same trailing shape everywhere.
    """
    rows = rows.detach()
    if world_size() == 1:
        return rows
    sizes = rows_by_rank(len(rows), rows.device)
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    shards = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(shards, padded)
    return torch.cat([shard[:size] for shard, size in zip(shards, sizes, strict=True)])


def from_first_rank(x: Tensor) -> Tensor:
    """The tensor of rank 0, without gradient; its shape is the same everywhere."""
    x = x.detach().clone()
    if world_size() > 1:
        dist.broadcast(x, 0)
    return x


def global_sum(x: Tensor) -> Tensor:
    """The sum over ranks, without gradient."""
    x = x.detach().clone()
    if world_size() > 1:
        dist.all_reduce(x)
    return x


class _GlobalValue(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return global_sum(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * world_size()


def global_value(x: Tensor) -> Tensor:
    """The sum over ranks of a loss, whose gradient is multiplied by the number of ranks."""
    value: Tensor = _GlobalValue.apply(x)
    return value


class _TotalOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return global_sum(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return global_sum(grads[0])


def total_over_ranks(x: Tensor) -> Tensor:
    """The sum over ranks of an intermediate result on which the losses of all ranks depend."""
    total: Tensor = _TotalOverRanks.apply(x)
    return total


class _GatheredRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.sizes = rows_by_rank(len(rows), rows.device)
        return gather_rows(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        start = sum(ctx.sizes[: rank()])
        return global_sum(grads[0])[start : start + ctx.sizes[rank()]]


def gathered_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks, with gradient; holds all of them, which is linear in the batch."""
    if world_size() == 1:
        return rows
    gathered: Tensor = _GatheredRows.apply(rows)
    return gathered


def _exchange(outgoing: Tensor, receiver: int, sender: int, rows: int) -> Tensor:
    incoming = outgoing.new_empty(rows, outgoing.shape[1])
    requests = dist.batch_isend_irecv(
        [
            dist.P2POp(dist.isend, outgoing.contiguous(), receiver),
            dist.P2POp(dist.irecv, incoming, sender),
        ]
    )
    for request in requests:
        request.wait()
    return incoming


class _RowsAcrossRanks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        extra: Tensor | None,
        terms: Terms,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.terms = terms
        ctx.sizes = rows_by_rank(len(candidates), candidates.device)
        ctx.i0 = global_start(anchors)
        world, here = world_size(), rank()
        with without_autocast(anchors):
            sums = _shard(ctx, anchors, candidates, scale, here).sums()
            sums = sums.with_extra(extra_total(extra))
            for step in range(1, world):
                owner = (here + step) % world
                shard = _exchange(candidates, (here - step) % world, owner, ctx.sizes[owner])
                sums = sums.merge(_shard(ctx, anchors, shard, scale, owner).sums(), terms)
                del shard
            values, counted = sums.values(terms)
            if terms.diagonal:
                values = values - diagonal_logits(anchors, candidates, scale)
        ctx.save_for_backward(
            anchors, candidates, scale, extra, sums.log_total, sums.mass, sums.pull
        )
        log_total = LN2 * sums.log_total
        ctx.mark_non_differentiable(counted, log_total)
        return values, counted, log_total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        anchors, candidates, scale, extra, *saved = ctx.saved_tensors
        sums = RowSums(*saved)
        world, here = world_size(), rank()
        gradients = Gradients(anchors, candidates, (True, False, True))
        own = gradients.candidates = torch.zeros_like(candidates)
        with without_autocast(anchors):
            problem = _shard(ctx, anchors, candidates, scale, here)
            problem.differentiate(sums, grads[0], gradients)
            if ctx.terms.diagonal:
                gradients.subtract_diagonal(problem, grads[0])
            del problem
            for step in range(1, world):
                owner, other = (here + step) % world, (here - step) % world
                shard = _exchange(candidates, other, owner, ctx.sizes[owner])
                gradients.candidates = torch.zeros_like(shard)
                problem = _shard(ctx, anchors, shard, scale, owner)
                problem.differentiate(sums, grads[0], gradients)
                del problem, shard
                own += _exchange(gradients.candidates, owner, other, len(candidates))
        grad_extra = extra_gradient(extra, sums, grads[0]) if ctx.needs_input_grad[3] else None
        return gradients.anchors, own, like_scale(gradients.scale, scale), grad_extra, None


def _shard(ctx: Any, anchors: Tensor, shard: Tensor, scale: Tensor, owner: int) -> Problem:
    j0 = sum(ctx.sizes[:owner])
    return Problem(anchors, shard, scale, ctx.terms, ctx.i0, j0, own=owner == rank())


def softmax_rows_across_ranks(
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    extra: Tensor | None = None,
) -> Rows:
    """`softmax_rows` of this rank's anchors against the candidates of all ranks.

    Positions given to the functions of ``terms`` are global, in the order of ranks.
    """
    values, counted, log_total = _RowsAcrossRanks.apply(anchors, candidates, scale, extra, terms)
    return Rows(values, counted, log_total)
