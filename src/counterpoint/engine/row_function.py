"""Any function of a whole row of logits, differentiated by autograd inside its block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from counterpoint.engine.rows import BlockGradient, Gradients, like_scale, row_blocks
from counterpoint.engine.similarity import products, refuse_double_backward, wants_half
from counterpoint.engine.terms import index_block

RowFunction = Callable[..., Tensor]
"""``f(logits, i, j, *per_row, *shared)``: logits ``(b, M)``, positions ``(b, 1)`` and ``(1, M)``,
the rows ``(b, ...)`` of each ``per_row`` tensor and each ``shared`` tensor whole, to a loss
``(b,)``."""


@dataclass(frozen=True)
class _Plan:
    """How the function is asked.

    Attributes:
        function: of a block of rows.
        first: position of the first anchor.
        width: numbers that the function makes of a pair.
        per_row: how many of the further tensors are handed over block by block.
    """

    function: RowFunction
    first: int
    width: int
    per_row: int


class _Visit:
    """Blocks of rows through the function, with the gradients of ``sum(upstream * loss)``."""

    def __init__(
        self,
        plan: _Plan,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        more: Sequence[Tensor],
    ) -> None:
        self.plan, self.anchors, self.candidates = plan, anchors, candidates
        self.scale = scale.expand(len(anchors))
        self.more, self.per_row = more, more[: plan.per_row]
        self.shared = [_leaf(x) for x in more[plan.per_row :]]

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
        """Losses, gradients of anchors, candidates and scale, and of what else it was given."""
        gradients = Gradients(self.anchors, self.candidates, needs[:3])
        more = [
            torch.zeros_like(x) if need else None
            for x, need in zip(self.more, needs[3:], strict=True)
        ]
        losses = None
        for part in self._parts():
            with torch.enable_grad():
                loss, logits, rows = self._loss(part)
            losses = self._put(losses, part, loss.detach())
            if not loss.requires_grad:
                continue
            leaves = [logits, *rows, *self.shared]
            grads = torch.autograd.grad(loss, leaves, upstream[part], allow_unused=True)
            if grads[0] is not None:
                gradients.add(self, part, BlockGradient(grads[0]))
            own = [part] * len(rows) + [...] * len(self.shared)
            for total, place, grad in zip(more, own, grads[1:], strict=True):
                if total is not None and grad is not None:
                    total[place] += grad
        assert losses is not None
        return losses, gradients, more

    def _parts(self) -> list[slice]:
        return list(row_blocks(len(self.anchors), len(self.candidates) * self.plan.width))

    def _loss(self, part: slice) -> tuple[Tensor, Tensor, list[Tensor]]:
        anchors = self.anchors[part] * self.scale[part, None]
        logits = (anchors @ self.candidates.T).detach().requires_grad_()
        rows = [_leaf(x[part]) for x in self.per_row]
        i, j = index_block(self.plan.first + part.start, 0, logits)
        return self.plan.function(logits, i, j, *rows, *self.shared), logits, rows


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_(x.is_floating_point())


class _FinishedRowFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        upstream: Tensor,
        plan: _Plan,
        differentiate: bool,
        *more: Tensor,
    ) -> Tensor:
        visit = _Visit(plan, anchors, candidates, scale, more)
        with products(anchors, wants_half(anchors, candidates)):
            if not differentiate:
                return torch.dot(upstream, visit.losses())
            needs = (*ctx.needs_input_grad[:3], *ctx.needs_input_grad[6:])
            losses, gradients, others = visit.finish(upstream, needs)
        grad_scale = like_scale(gradients.scale, scale)
        ctx.save_for_backward(gradients.anchors, gradients.candidates, grad_scale, *others)
        return torch.dot(upstream, losses)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        finished = [None if saved is None else saved * grads[0] for saved in ctx.saved_tensors]
        return (*finished[:3], None, None, None, *finished[3:])


class _RowFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        plan: _Plan,
        *more: Tensor,
    ) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(anchors, candidates, scale, *more)
        ctx.half = wants_half(anchors, candidates)
        with products(anchors, ctx.half):
            return _Visit(plan, anchors, candidates, scale, more).losses()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        anchors, candidates, scale, *more = ctx.saved_tensors
        visit = _Visit(ctx.plan, anchors, candidates, scale, more)
        needs = (*ctx.needs_input_grad[:3], *ctx.needs_input_grad[4:])
        with products(anchors, ctx.half):
            _, gradients, others = visit.finish(grads[0], needs)
        grad_scale = like_scale(gradients.scale, scale)
        return gradients.anchors, gradients.candidates, grad_scale, None, *others


def row_losses(
    function: RowFunction,
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    *,
    per_row: Sequence[Tensor] = (),
    shared: Sequence[Tensor] = (),
    width: int = 1,
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
        shared: more tensors handed to it whole with every block, with gradient.
        width: numbers that the function makes of a pair; the more, the fewer rows a block has.
        weights: weight of every row ``(N,)``, constant. Given, the weighted sum is returned, its
            gradient already finished; else the losses ``(N,)``.
        first: position of the first anchor, as the function sees it.
    """
    plan, more = _Plan(function, first, width, len(per_row)), (*per_row, *shared)
    if weights is None:
        losses: Tensor = _RowFunction.apply(anchors, candidates, scale, plan, *more)
        return losses
    wanted = torch.is_grad_enabled() and any(
        x.requires_grad for x in (anchors, candidates, scale, *more)
    )
    total: Tensor = _FinishedRowFunction.apply(
        anchors, candidates, scale, weights, plan, wanted, *more
    )
    return total
