"""Any function of a whole row of logits, differentiated by autograd inside its block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from counterpoint.engine.rows import BlockGradient, Gradients, like_scale, row_blocks
from counterpoint.engine.similarity import products, refuse_double_backward, wants_half
from counterpoint.engine.terms import index_block

RowFunction = Callable[..., Tensor]
"""``f(logits, i, j, *per_row)``: logits ``(b, M)``, positions ``(b, 1)`` and ``(1, M)``, and the
rows ``(b, ...)`` of each ``per_row`` tensor, to a loss ``(b,)``."""


class _Visit:
    """Blocks of rows through the function, with the gradients of ``sum(upstream * loss)``."""

    def __init__(
        self,
        function: RowFunction,
        i0: int,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        per_row: Sequence[Tensor],
    ) -> None:
        self.function, self.i0 = function, i0
        self.anchors, self.candidates, self.per_row = anchors, candidates, per_row
        self.scale = scale.expand(len(anchors))

    def losses(self) -> Tensor:
        losses = None
        with torch.no_grad():
            for part in self._parts():
                losses = self._put(losses, part, self._loss(part)[0])
        assert losses is not None
        return losses

    def _put(self, losses: Tensor | None, part: slice, block: Tensor) -> Tensor:
        if losses is None:
            losses = block.new_empty(len(self.anchors), *block.shape[1:])
        losses[part] = block
        return losses

    def finish(
        self, upstream: Tensor, needs: Sequence[bool]
    ) -> tuple[Tensor, Gradients, list[Any]]:
        """Losses, gradients of anchors, candidates and scale, and of the per-row tensors."""
        gradients = Gradients(self.anchors, self.candidates, needs[:3])
        per_row = [
            torch.zeros_like(x) if need else None
            for x, need in zip(self.per_row, needs[3:], strict=True)
        ]
        losses = None
        for part in self._parts():
            with torch.enable_grad():
                loss, logits, rows = self._loss(part)
            losses = self._put(losses, part, loss.detach())
            if not loss.requires_grad:
                continue
            grads = torch.autograd.grad(loss, [logits, *rows], upstream[part], allow_unused=True)
            if grads[0] is not None:
                gradients.add(self, part, BlockGradient(grads[0]))
            for total, grad in zip(per_row, grads[1:], strict=True):
                if total is not None and grad is not None:
                    total[part] = grad
        assert losses is not None
        return losses, gradients, per_row

    def _parts(self) -> list[slice]:
        return list(row_blocks(len(self.anchors), len(self.candidates)))

    def _loss(self, part: slice) -> tuple[Tensor, Tensor, list[Tensor]]:
        anchors = self.anchors[part] * self.scale[part, None]
        logits = (anchors @ self.candidates.T).detach().requires_grad_()
        rows = [x[part].detach().requires_grad_(x.is_floating_point()) for x in self.per_row]
        i, j = index_block(self.i0 + part.start, 0, logits)
        return self.function(logits, i, j, *rows), logits, rows


class _FinishedRowFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        upstream: Tensor,
        function: RowFunction,
        i0: int,
        differentiate: bool,
        *per_row: Tensor,
    ) -> Tensor:
        visit = _Visit(function, i0, anchors, candidates, scale, per_row)
        with products(anchors, wants_half(anchors, candidates)):
            if not differentiate:
                return torch.dot(upstream, visit.losses())
            needs = (*ctx.needs_input_grad[:3], *ctx.needs_input_grad[7:])
            losses, gradients, rows = visit.finish(upstream, needs)
        grad_scale = like_scale(gradients.scale, scale)
        ctx.save_for_backward(gradients.anchors, gradients.candidates, grad_scale, *rows)
        return torch.dot(upstream, losses)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        finished = [None if saved is None else saved * grads[0] for saved in ctx.saved_tensors]
        return (*finished[:3], None, None, None, None, *finished[3:])


class _RowFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        function: RowFunction,
        i0: int,
        *per_row: Tensor,
    ) -> Tensor:
        ctx.function, ctx.i0 = function, i0
        ctx.save_for_backward(anchors, candidates, scale, *per_row)
        ctx.half = wants_half(anchors, candidates)
        with products(anchors, ctx.half):
            return _Visit(function, i0, anchors, candidates, scale, per_row).losses()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        anchors, candidates, scale, *per_row = ctx.saved_tensors
        visit = _Visit(ctx.function, ctx.i0, anchors, candidates, scale, per_row)
        needs = (*ctx.needs_input_grad[:3], *ctx.needs_input_grad[5:])
        with products(anchors, ctx.half):
            _, gradients, rows = visit.finish(grads[0], needs)
        grad_scale = like_scale(gradients.scale, scale)
        return gradients.anchors, gradients.candidates, grad_scale, None, None, *rows


def row_losses(
    function: RowFunction,
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    *,
    per_row: Sequence[Tensor] = (),
    weights: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """A loss of every anchor from its whole row of logits ``scale_i <a_i, c_j>``.

    Args:
        function: of a block of rows; it must treat rows one by one and change no argument.
        anchors: float32 or float64 ``(N, D)``.
        candidates: same dtype ``(M, D)``.
        scale: inverse temperature, ``()`` or ``(N,)``.
        per_row: more tensors ``(N, ...)`` handed to the function block by block, with gradient.
        weights: weight of every row ``(N,)``, constant. Given, the weighted sum is returned, its
            gradient already finished; else the losses ``(N,)``.
        first: position of the first anchor, as the function sees it.
    """
    if weights is None:
        losses: Tensor = _RowFunction.apply(anchors, candidates, scale, function, first, *per_row)
        return losses
    wanted = torch.is_grad_enabled() and any(
        x.requires_grad for x in (anchors, candidates, scale, *per_row)
    )
    total: Tensor = _FinishedRowFunction.apply(
        anchors, candidates, scale, weights, function, first, wanted, *per_row
    )
    return total
