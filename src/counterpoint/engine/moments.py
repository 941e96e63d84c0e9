"""Second moments of rows with scaled features, in blocks that are made again in the backward pass.

The features are given as ``features`` ``(N, F)`` and ``scale`` ``(N,)``, their product is never
held; no gradient reaches either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from counterpoint.engine.similarity import refuse_double_backward

ROWS = 4096


def _blocks(features: Tensor, scale: Tensor, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        yield part, features[part].to(rows.dtype) * scale[part, None].to(rows.dtype)


class _CrossMoment(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(features, scale, rows)
        total = rows.new_zeros(features.shape[1], rows.shape[1])
        for part, block in _blocks(features, scale, rows):
            total.addmm_(block.T, rows[part])
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        features, scale, rows = ctx.saved_tensors
        grad_rows = torch.empty_like(rows)
        for part, block in _blocks(features, scale, rows):
            torch.mm(block, grads[0], out=grad_rows[part])
        return None, None, grad_rows


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor, moment: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(features, scale, moment, rows)
        values = torch.empty_like(rows[:, 0])
        for part, block in _blocks(features, scale, rows):
            values[part] = torch.linalg.vecdot(block @ moment, rows[part])
        return values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        features, scale, moment, rows = ctx.saved_tensors
        grad_moment, grad_rows = torch.zeros_like(moment), torch.empty_like(rows)
        for part, block in _blocks(features, scale * grads[0], rows):
            grad_moment.addmm_(block.T, rows[part])
            torch.mm(block, moment, out=grad_rows[part])
        return None, None, grad_moment, grad_rows


def cross_moment(features: Tensor, scale: Tensor, rows: Tensor) -> Tensor:
    """``sum_i scale_i f_i r_iᵀ`` ``(F, D)`` with gradient to ``rows`` ``(N, D)``."""
    moment: Tensor = _CrossMoment.apply(features, scale, rows)
    return moment


def bilinear(features: Tensor, scale: Tensor, moment: Tensor, rows: Tensor) -> Tensor:
    """``scale_i f_iᵀ M r_i`` ``(N,)`` with gradient to M ``(F, D)`` and ``rows`` ``(N, D)``."""
    values: Tensor = _Bilinear.apply(features, scale, moment, rows)
    return values
