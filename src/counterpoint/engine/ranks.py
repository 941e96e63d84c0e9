"""The loss of the global batch, computed by several processes.

Every rank holds some rows and returns the same global value. The gradient it delivers to its own
rows is that of the global loss times the number of ranks, so that the average over ranks which
``DistributedDataParallel`` takes of parameter gradients is exactly the gradient of one process
holding all rows. With ``reduction="none"`` a rank gets the losses of its own rows and the plain
gradient of whatever is made of them.

Candidates travel pairwise: at step k a rank sends its own shard to rank - k and receives that of
rank + k, so it never holds more than one remote shard. All ranks must run the same forward and
backward passes in the same order.

Inside `aggregation` candidates travel within groups of ranks only, its *peers*: the loss is then
the mean over groups of the losses of their batches, each weighted by its anchors. Positions count
within the group, and everything else, the mean and the gradient, runs over all ranks as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
from counterpoint.errors import SettingError


def is_distributed() -> bool:
    """Whether several processes work together."""
    return world_size() > 1


def world_size() -> int:
    """The number of ranks; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process; 0 without ``torch.distributed``."""
    return dist.get_rank() if world_size() > 1 else 0


@dataclass(frozen=True)
class Peers:
    """Consecutive ranks among which candidates travel.

    Attributes:
        first: rank of the first of them.
        size: how many.
        group: of their communication; None for all ranks.
    """

    first: int
    size: int
    group: Any = None

    @property
    def place(self) -> int:
        """This rank's number among them."""
        return rank() - self.first

    def rows_by_rank(self, rows: int, device: torch.device) -> list[int]:
        """How many rows each of them holds."""
        if self.size == 1:
            return [rows]
        sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(self.size)]
        mine = torch.tensor([rows], dtype=torch.int64, device=device)
        dist.all_gather(sizes, mine, group=self.group)
        return [int(size) for size in sizes]

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all of them in the order of ranks, without gradient."""
        rows = rows.detach()
        if self.size == 1:
            return rows
        sizes = self.rows_by_rank(len(rows), rows.device)
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        shards = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(shards, padded, group=self.group)
        return torch.cat([shard[:size] for shard, size in zip(shards, sizes, strict=True)])

    def sum(self, x: Tensor) -> Tensor:
        """The sum over all of them, without gradient."""
        x = x.detach().clone()
        if self.size > 1:
            dist.all_reduce(x, group=self.group)
        return x

    def exchange(self, outgoing: Tensor, receiver: int, sender: int, rows: int) -> Tensor:
        """Sends a shard to one of them, and receives one of ``rows`` rows from another."""
        incoming = outgoing.new_empty(rows, outgoing.shape[1])
        requests = dist.batch_isend_irecv(
            [
                dist.P2POp(dist.isend, outgoing.contiguous(), self.first + receiver, self.group),
                dist.P2POp(dist.irecv, incoming, self.first + sender, self.group),
            ]
        )
        for request in requests:
            request.wait()
        return incoming


_peers: ContextVar[Peers | None] = ContextVar("peers", default=None)
_groups: dict[int, tuple[Any, Peers]] = {}


def everyone() -> Peers:
    """All ranks."""
    return Peers(0, world_size())


def peers() -> Peers:
    """The ranks whose candidates this one sees: all, or its group inside `aggregation`."""
    return _peers.get() or everyone()


@contextmanager
def aggregation(groups_of: int | None) -> Iterator[Peers]:
    """Inside, objectives with ``across_ranks=True`` see the candidates of groups of ranks.

    The setting of the whole softmax family, and of everything else that sees candidates of other
    ranks: put it around the steps of training. Ranks 0 .. m - 1 are the first group, and so on;
    choose m so that a group lies on one machine. Communication shrinks to ``(m - 1) / (W - 1)``,
    and an anchor has as many fewer negatives: its loss is smaller by about ``log(W / m)``, so
    compare losses only at equal m. All ranks must enter together.

    Args:
        groups_of: m, ranks in a group; divides their number. None for all ranks, the ring.

    Raises:
        SettingError: m does not divide the number of ranks.

    Source: M2-Encoder, arXiv 2401.15896, grouped aggregation; group formation reconstructed.
    """
    token = _peers.set(None if groups_of is None else _group(groups_of))
    try:
        yield peers()
    finally:
        _peers.reset(token)


def _group(size: int) -> Peers:
    world = world_size()
    if size < 1 or world % size:
        raise SettingError(f"groups_of must divide the number of ranks, {world}; got {size}.")
    if world == 1:
        return everyone()
    known, found = _groups.get(size, (None, None))
    if found is None or known is not dist.group.WORLD:
        made = [
            Peers(first, size, dist.new_group(list(range(first, first + size))))
            for first in range(0, world, size)
        ]
        found = made[rank() // size]
        _groups[size] = (dist.group.WORLD, found)
    return found


def rows_by_rank(rows: int, device: torch.device) -> list[int]:
    """How many rows every rank holds."""
    return everyone().rows_by_rank(rows, device)


def global_start(rows: Tensor) -> int:
    """Position of this rank's first row among those of its peers."""
    own = peers()
    return sum(own.rows_by_rank(len(rows), rows.device)[: own.place])


def global_positions(rows: Tensor, across_ranks: bool) -> Tensor:
    """Positions of this rank's rows among those of its peers, int64 ``(n,)``."""
    first = global_start(rows) if across_ranks else 0
    return torch.arange(first, first + len(rows), device=rows.device)


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks in the order of ranks, without gradient; sizes may differ.

    For what every rank is to remember alike. What belongs to candidates is `peer_rows`.

    Args:
        rows: ``(n, ...)``, the same trailing shape everywhere.
    """
    return everyone().gather(rows)


def peer_rows(rows: Tensor) -> Tensor:
    """As `gather_rows`, of the `peers`: ids, labels and the like of the candidates."""
    return peers().gather(rows)


def from_first_rank(x: Tensor) -> Tensor:
    """The tensor of rank 0, without gradient; its shape is the same everywhere."""
    x = x.detach().clone()
    if world_size() > 1:
        dist.broadcast(x, 0)
    return x


def global_sum(x: Tensor) -> Tensor:
    """The sum over ranks, without gradient."""
    return everyone().sum(x)


def peer_sum(x: Tensor) -> Tensor:
    """The sum over `peers`, without gradient."""
    return peers().sum(x)


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
        ctx.peers = peers()
        return peer_sum(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total: Tensor = ctx.peers.sum(grads[0])
        return total


def total_over_ranks(x: Tensor) -> Tensor:
    """The sum over `peers` of an intermediate result on which the losses of all of them depend."""
    total: Tensor = _TotalOverRanks.apply(x)
    return total


class _GatheredRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.peers = peers()
        ctx.sizes = ctx.peers.rows_by_rank(len(rows), rows.device)
        return peer_rows(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        place = ctx.peers.place
        start = sum(ctx.sizes[:place])
        total: Tensor = ctx.peers.sum(grads[0])
        return total[start : start + ctx.sizes[place]]


def gathered_rows(rows: Tensor) -> Tensor:
    """The rows of `peers`, with gradient; holds all of them, which is linear in the batch."""
    if peers().size == 1:
        return rows
    gathered: Tensor = _GatheredRows.apply(rows)
    return gathered


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
        ctx.terms, ctx.peers = terms, peers()
        ctx.sizes = ctx.peers.rows_by_rank(len(candidates), candidates.device)
        ctx.i0 = global_start(anchors)
        world, here = ctx.peers.size, ctx.peers.place
        with without_autocast(anchors):
            sums = _shard(ctx, anchors, candidates, scale, here).sums()
            sums = sums.with_extra(extra_total(extra))
            for step in range(1, world):
                owner = (here + step) % world
                other = (here - step) % world
                shard = ctx.peers.exchange(candidates, other, owner, ctx.sizes[owner])
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
        world, here = ctx.peers.size, ctx.peers.place
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
                shard = ctx.peers.exchange(candidates, other, owner, ctx.sizes[owner])
                gradients.candidates = torch.zeros_like(shard)
                problem = _shard(ctx, anchors, shard, scale, owner)
                problem.differentiate(sums, grads[0], gradients)
                del problem, shard
                own += ctx.peers.exchange(gradients.candidates, owner, other, len(candidates))
        grad_extra = extra_gradient(extra, sums, grads[0]) if ctx.needs_input_grad[3] else None
        return gradients.anchors, own, like_scale(gradients.scale, scale), grad_extra, None


def _shard(ctx: Any, anchors: Tensor, shard: Tensor, scale: Tensor, owner: int) -> Problem:
    j0 = sum(ctx.sizes[:owner])
    return Problem(anchors, shard, scale, ctx.terms, ctx.i0, j0, own=owner == ctx.peers.place)


def softmax_rows_across_ranks(
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    extra: Tensor | None = None,
) -> Rows:
    """`softmax_rows` of this rank's anchors against the candidates of its `peers`, all ranks.

    Positions given to the functions of ``terms`` count over them, in the order of ranks.
    """
    values, counted, log_total = _RowsAcrossRanks.apply(anchors, candidates, scale, extra, terms)
    return Rows(values, counted, log_total)
