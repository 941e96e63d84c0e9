"""Square tiles: self-similarity, and losses that read one matrix along rows and columns.

Each tile is made once a pass and read both ways; of a self-similarity only the upper triangle is
made. The first pass takes the sums, the second the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from counterpoint.engine.similarity import (
    LN2,
    LOG2E,
    logit_bound,
    products,
    refuse_double_backward,
    safe_range,
    wants_half,
)
from counterpoint.engine.terms import Terms, fill_offsets, index_block

TILE = 1024


class Tiles:
    """The logits ``scale <x_i, y_j>`` in base 2, a tile at a time.

    Args:
        x: ``(N, D)``.
        y: ``(M, D)``; None for the similarity of x with itself.
        scale: ``()``.
        terms: ``excluded`` and ``valid``, which must be symmetric for a self-similarity.
    """

    def __init__(self, x: Tensor, y: Tensor | None, scale: Tensor, terms: Terms) -> None:
        self.x, self.scale, self.terms = x, scale, terms
        self.symmetric = y is None
        self.y = x if y is None else y
        self.shifted = logit_bound(x, self.y, scale) > safe_range(x.dtype)
        size = min(TILE, len(x)) * min(TILE, len(self.y))
        self.buffer, self.spare = x.new_empty(2, size)

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor]]:
        for i0 in range(0, len(self.x), TILE):
            rows = slice(i0, min(i0 + TILE, len(self.x)))
            anchors = self.x[rows] * (self.scale * LOG2E)
            for j0 in range(i0 if self.symmetric else 0, len(self.y), TILE):
                columns = slice(j0, min(j0 + TILE, len(self.y)))
                tile = self._view(self.buffer, rows, columns)
                torch.mm(anchors, self.y[columns].T, out=tile)
                self._mask(tile, i0, j0)
                yield rows, columns, tile

    def _view(self, buffer: Tensor, rows: slice, columns: slice) -> Tensor:
        height, width = rows.stop - rows.start, columns.stop - columns.start
        return buffer[: height * width].view(height, width)

    def _mask(self, tile: Tensor, i0: int, j0: int) -> None:
        fill_offsets(tile, self.terms.excluded, i0 - j0, -torch.inf)
        if self.terms.valid is not None:
            i, j = index_block(i0, j0, tile)
            tile.masked_fill_(~self.terms.valid(i, j), -torch.inf)

    def mirrored(self, rows: slice, columns: slice) -> bool:
        """Whether a tile stands for its mirror image too."""
        return not self.symmetric or rows.start != columns.start

    def log_sums(self) -> tuple[Tensor, Tensor]:
        """Base-2 log-sum-exp of every row and every column (one tensor when symmetric)."""
        kind = _ShiftedSums if self.shifted else _PlainSums
        along = kind(self.x)
        down = along if self.symmetric else kind(self.y)
        for rows, columns, tile in self:
            exps = along.prepare(tile)
            along.add(rows, exps, 1)
            if self.mirrored(rows, columns):
                down.add(columns, exps, 0)
        return along.log_sums(), down.log_sums()

    def gradients(
        self, logs: tuple[Tensor, Tensor], upstream: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """``(G y, Gᵀ x)`` for the gradient G in the natural logits; their sum when symmetric."""
        shifts = [torch.where(log > -torch.inf, log, 0.0) for log in logs]
        along, down = upstream
        if not self.shifted:
            along, down = along * (-shifts[0]).exp2(), down * (-shifts[1]).exp2()
        grad_x = torch.zeros_like(self.x)
        grad_y = grad_x if self.symmetric else torch.zeros_like(self.y)
        for rows, columns, tile in self:
            spare = self._view(self.spare, rows, columns)
            if self.shifted:
                torch.sub(tile, shifts[0][rows, None], out=spare).exp2_().mul_(along[rows, None])
                tile.sub_(shifts[1][columns]).exp2_().mul_(down[columns]).add_(spare)
            else:
                torch.add(along[rows, None], down[columns], out=spare)
                tile.exp2_().mul_(spare)
            grad_x[rows].addmm_(tile, self.y[columns])
            if self.mirrored(rows, columns):
                grad_y[columns].addmm_(tile.T, self.x[rows])
        return grad_x, grad_y


class _PlainSums:
    """Sums of exponentials that cannot overflow."""

    def __init__(self, rows: Tensor) -> None:
        self.total = torch.zeros_like(rows[:, 0])

    def prepare(self, tile: Tensor) -> Tensor:
        return tile.exp2_()

    def add(self, part: slice, exps: Tensor, dim: int) -> None:
        self.total[part] += exps.sum(dim)

    def log_sums(self) -> Tensor:
        return self.total.log2()


class _ShiftedSums:
    """Sums of exponentials relative to the largest logit seen so far."""

    def __init__(self, rows: Tensor) -> None:
        self.total = torch.zeros_like(rows[:, 0])
        self.top = torch.full_like(self.total, torch.finfo(rows.dtype).min)

    def prepare(self, tile: Tensor) -> Tensor:
        return tile

    def add(self, part: slice, logits: Tensor, dim: int) -> None:
        top = torch.maximum(self.top[part], logits.amax(dim))
        kept = self.total[part] * (self.top[part] - top).exp2()
        self.total[part] = kept + (logits - top.unsqueeze(dim)).exp2_().sum(dim)
        self.top[part] = top

    def log_sums(self) -> Tensor:
        return self.total.log2() + self.top


class _SelfLogSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, scale: Tensor, terms: Terms) -> Tensor:
        ctx.half = wants_half(z, z)
        with products(z, ctx.half):
            log, _ = Tiles(z, None, scale, terms).log_sums()
        ctx.terms = terms
        ctx.save_for_backward(z, scale, log)
        return LN2 * torch.where(log > -torch.inf, log, 0.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        z, scale, log = ctx.saved_tensors
        upstream = torch.where(log > -torch.inf, grads[0], 0.0)
        with products(z, ctx.half):
            pulled, _ = Tiles(z, None, scale, ctx.terms).gradients((log, log), (upstream, upstream))
            grad_scale = _total_dot(pulled, z) / 2 if ctx.needs_input_grad[1] else None
        return pulled.mul_(scale), grad_scale, None


class _TwoWayLogSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, scale: Tensor, terms: Terms, diagonal: tuple[bool, bool]
    ) -> tuple[Tensor, Tensor]:
        ctx.half = wants_half(x, y)
        with products(x, ctx.half):
            logs = Tiles(x, y, scale, terms).log_sums()
            own = scale * torch.linalg.vecdot(x, y) if any(diagonal) else None
        ctx.terms, ctx.diagonal = terms, diagonal
        ctx.save_for_backward(x, y, scale, *logs)
        along, down = (LN2 * torch.where(log > -torch.inf, log, 0.0) for log in logs)
        if own is None:
            return along, down
        return along - diagonal[0] * own, down - diagonal[1] * own

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        x, y, scale, along, down = ctx.saved_tensors
        upstream = (
            torch.where(along > -torch.inf, grads[0], 0.0),
            torch.where(down > -torch.inf, grads[1], 0.0),
        )
        with products(x, ctx.half):
            grad_x, grad_y = Tiles(x, y, scale, ctx.terms).gradients((along, down), upstream)
            if any(ctx.diagonal):
                pull = -(ctx.diagonal[0] * grads[0] + ctx.diagonal[1] * grads[1])[:, None]
                grad_x.addcmul_(y, pull)
                grad_y.addcmul_(x, pull)
            grad_scale = _total_dot(grad_x, x) if ctx.needs_input_grad[2] else None
        return grad_x.mul_(scale), grad_y.mul_(scale), grad_scale, None, None


def _total_dot(a: Tensor, b: Tensor) -> Tensor:
    total: Tensor = torch.linalg.vecdot(a, b).sum()
    return total


def self_log_sums(z: Tensor, scale: Tensor, terms: Terms) -> Tensor:
    """``log sum_j exp(scale <z_i, z_j>)`` of every row; an empty sum gives 0.

    Args:
        z: float32 or float64 ``(N, D)``.
        scale: inverse temperature ``()``.
        terms: ``excluded`` offsets (with each its negative) and a symmetric ``valid``.
    """
    log_sums: Tensor = _SelfLogSums.apply(z, scale, terms)
    return log_sums


def two_way_log_sums(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    diagonal: tuple[bool, bool] = (False, False),
) -> tuple[Tensor, Tensor]:
    """``log sum_j exp(scale <x_i, y_j>)`` of every i, and the same over i of every j.

    Args:
        x: float32 or float64 ``(N, D)``.
        y: same dtype ``(M, D)``.
        scale: inverse temperature ``()``.
        terms: ``excluded`` and ``valid`` of the pair (row of x, row of y), for both directions.
        diagonal: for each direction, whether ``scale <x_i, y_i>`` is subtracted (needs N = M).
    """
    along, down = _TwoWayLogSums.apply(x, y, scale, terms, diagonal)
    return along, down
