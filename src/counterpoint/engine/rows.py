"""Row blocks with all candidates: the softmax family in one direction.

The logits of a block of anchors are made in one reused buffer. When the weight of every row is
known beforehand (mean or sum over anchors) the gradient is finished in the forward pass, with three
matrix products in all; else the block is made again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from counterpoint.engine.similarity import (
    LN2,
    LOG2E,
    copies_gradient,
    logit_bound,
    products,
    refuse_double_backward,
    safe_range,
    wants_half,
)
from counterpoint.engine.terms import LogitFunction, Terms, fill_offsets, index_block

BLOCK_NUMBERS = 2**20
"""Size of the buffer of logits."""
TINY = 1e-30


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Consecutive blocks of rows whose logits fit the buffer."""
    size = max(8, min(rows, BLOCK_NUMBERS // max(columns, 1)))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


@dataclass
class RowSums:
    """What a row has gathered from the candidates seen so far, in base 2.

    Attributes:
        log_total: logarithm of the denominator, ``-inf`` while it is empty.
        mass: summed weights of the positives.
        pull: their weighted logits, or the logarithm of their summed exponentials.
    """

    log_total: Tensor
    mass: Tensor | None = None
    pull: Tensor | None = None

    def put(self, rows: slice, block: RowSums) -> None:
        """Writes the sums of some rows.

        One allocation for all rows: small tensors that outlive a block would sit in the memory
        that its large ones left, and those would need new memory each time.
        """
        size = len(self.log_total)
        self.log_total[rows] = block.log_total
        if block.mass is not None and block.pull is not None:
            if self.mass is None or self.pull is None:
                self.mass, self.pull = block.mass.new_empty(2, size)
            self.mass[rows], self.pull[rows] = block.mass, block.pull

    def part(self, rows: slice) -> RowSums:
        """The sums of some rows."""
        return RowSums(
            self.log_total[rows],
            None if self.mass is None else self.mass[rows],
            None if self.pull is None else self.pull[rows],
        )

    def with_extra(self, log_extra: Tensor | None) -> RowSums:
        """With more in the denominators, given as a logarithm in base 2 ``(N,)``."""
        if log_extra is None:
            return self
        return RowSums(torch.logaddexp2(self.log_total, log_extra), self.mass, self.pull)

    def merge(self, other: RowSums, terms: Terms) -> RowSums:
        """The sums over the candidates of both."""
        total = torch.logaddexp2(self.log_total, other.log_total)
        if self.mass is None or self.pull is None or other.mass is None or other.pull is None:
            return RowSums(total)
        join = torch.add if terms.aggregate == "mean_log" else torch.logaddexp2
        return RowSums(total, self.mass + other.mass, join(self.pull, other.pull))

    def values(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """Loss of each row and whether it counts; without positives, the log-sum itself.

        An empty sum gives 0, and so does a row without positives, which does not count.
        """
        total = torch.where(self.log_total > -torch.inf, self.log_total, 0.0)
        if self.mass is None or self.pull is None:
            return LN2 * total, torch.ones_like(total, dtype=torch.bool)
        counted = self.mass > 0
        pull = self.pull / self.mass if terms.aggregate == "mean_log" else self.pull
        return LN2 * torch.where(counted, total - pull, 0.0), counted


@dataclass
class BlockGradient:
    """``row_factor[:, None] * matrix``; the factor is left apart, for it is cheaper to apply to
    ``(b, D)`` than to ``(b, m)``."""

    matrix: Tensor
    row_factor: Tensor | None = None

    def full(self) -> Tensor:
        """The product."""
        return self.matrix if self.row_factor is None else self.matrix * self.row_factor[:, None]


class Block:
    """The logits of some anchors and candidates, in base 2, masked in place.

    Args:
        logits: ``(b, m)`` in base 2; overwritten.
        terms: which pairs count.
        i0: position of the first anchor.
        j0: position of the first candidate.
        own: row of the first anchor among those ``terms.excluded`` counts from; None where it does
            not speak of these candidates.
        differentiable: whether `gradient` will be asked for.
    """

    def __init__(
        self, logits: Tensor, terms: Terms, i0: int, j0: int, own: int | None, differentiable: bool
    ) -> None:
        self.terms = terms
        self.changed: tuple[Tensor, Tensor] | None = None
        self.positive: Tensor | None = None
        self.pull: Tensor | None = None
        self.toward: tuple[Tensor, Tensor] | None = None
        if terms.indexed:
            i, j = index_block(i0, j0, logits)
            if terms.logit is not None:
                logits = self._change(terms.logit, logits, i, j, differentiable)
            valid = None if terms.valid is None else terms.valid(i, j)
            if terms.positive is not None:
                self.positive = _weights(terms.positive(i, j), valid, logits)
                if own is not None:
                    fill_offsets(self.positive, terms.excluded, own, 0.0)
                if terms.aggregate == "mean_log":
                    self.pull = _row_dots(logits, self.positive)
            if valid is not None:
                logits.masked_fill_(~valid, -torch.inf)
            if terms.weight is not None:
                logits.add_(terms.weight(i, j).to(logits.dtype).log2())
        if own is not None:
            fill_offsets(logits, terms.excluded, own, -torch.inf)
        if self.positive is not None and terms.aggregate == "log_sum":
            self._sum_positives(logits, self.positive)
        if self.positive is not None and terms.decoupled:
            logits.masked_fill_(self.positive > 0, -torch.inf)
        self.logits = logits

    def _change(
        self, logit: LogitFunction, logits: Tensor, i: Tensor, j: Tensor, differentiable: bool
    ) -> Tensor:
        given = logits.mul_(LN2).requires_grad_(differentiable)
        with torch.set_grad_enabled(differentiable):
            changed = logit(given, i, j)
        self.changed = given, changed
        return changed.detach() * LOG2E

    def _sum_positives(self, logits: Tensor, positive: Tensor) -> None:
        """Exponentials of the positives have a shift of their own, lest all of them vanish."""
        exps = logits.masked_fill(positive == 0, -torch.inf)
        top = _row_tops(exps)
        exps.sub_(top[:, None]).exp2_().mul_(positive)
        self.pull = exps.sum(1).log2().add_(top)
        self.toward = exps, top

    def exponentiate(self, shift: Tensor | None) -> None:
        """Turns the logits into ``exp2(logits - shift)``, in place."""
        if shift is not None:
            self.logits.sub_(shift[:, None])
        self.logits.exp2_()

    def sums(self, shift: Tensor | None) -> RowSums:
        """Sums over these candidates, once exponentiated with ``shift``."""
        total = _unshift(self.logits.sum(1), shift)
        if self.positive is None:
            return RowSums(total)
        return RowSums(total, self.positive.sum(1), self.pull)

    def gradient(self, sums: RowSums, shift: Tensor | None, upstream: Tensor) -> BlockGradient:
        """Gradient of ``sum(upstream * values)`` in the natural logits; reuses the buffer.

        Args:
            sums: over all candidates, for the rows of this block.
            shift: with which the logits were exponentiated.
            upstream: ``(b,)``.
        """
        grad = self._gradient(sums, shift, upstream)
        if self.changed is None:
            return grad
        given, changed = self.changed
        if not changed.requires_grad:
            return BlockGradient(torch.zeros_like(given))
        (chained,) = torch.autograd.grad(changed, given, grad.full())
        return BlockGradient(chained)

    def _gradient(self, sums: RowSums, shift: Tensor | None, upstream: Tensor) -> BlockGradient:
        push = _share(sums.log_total, shift, upstream)
        if self.positive is None or sums.mass is None or sums.pull is None:
            return BlockGradient(self.logits, push)
        counted = sums.mass > 0
        push = torch.where(counted, push, 0.0)[:, None]
        away = self.logits.mul_(push)
        if self.toward is None:
            drag = torch.where(counted, upstream / sums.mass, 0.0)[:, None]
            return BlockGradient(away.addcmul_(self.positive, drag, value=-1))
        exps, top = self.toward
        drag = _share(sums.pull, top, upstream)[:, None]
        return BlockGradient(away.addcmul_(exps, drag, value=-1))


def _weights(positive: Tensor, valid: Tensor | None, like: Tensor) -> Tensor:
    weights = positive.to(like.dtype)
    if valid is not None:
        weights = weights * valid
    if weights.shape != like.shape or weights is positive:
        weights = weights.expand_as(like).clone()
    return weights


def _row_dots(a: Tensor, b: Tensor) -> Tensor:
    return torch.bmm(a[:, None, :], b[:, :, None]).view(-1)


def _row_tops(logits: Tensor) -> Tensor:
    return logits.amax(1).clamp_(min=torch.finfo(logits.dtype).min)


def _unshift(total: Tensor, shift: Tensor | None) -> Tensor:
    return total.log2() if shift is None else total.log2().add_(shift)


def _share(log_total: Tensor, shift: Tensor | None, upstream: Tensor) -> Tensor:
    """Factor that turns ``exp2(logit - shift)`` into ``upstream * exp2(logit - log_total)``."""
    lift = -log_total if shift is None else shift - log_total
    return torch.where(log_total > -torch.inf, upstream * lift.exp2(), 0.0)


class Bilinear(Protocol):
    """Logits ``scale_i <a_i, c_j>``, one scale a row."""

    anchors: Tensor
    candidates: Tensor
    scale: Tensor


@dataclass
class Problem:
    """Logits ``scale_i <a_i, c_j>`` of anchors ``(N, D)`` and candidates ``(M, D)``.

    Attributes:
        scale: ``()`` or ``(N,)``.
        terms: which pairs count.
        i0: position of the first anchor, ``j0`` of the first candidate, as ``terms`` see them.
        own: whether ``terms.excluded`` speaks of these candidates.
    """

    anchors: Tensor
    candidates: Tensor
    scale: Tensor
    terms: Terms
    i0: int = 0
    j0: int = 0
    own: bool = True

    def __post_init__(self) -> None:
        rows, columns = len(self.anchors), len(self.candidates)
        self.scale = self.scale.expand(rows)
        self.parts = list(row_blocks(rows, columns))
        self.buffer = self.anchors.new_empty(min(rows, self.parts[0].stop), columns)
        bound = logit_bound(self.anchors, self.candidates, self.scale)
        self.shifted = self.terms.unbounded or bound > safe_range(self.anchors.dtype)

    def block(self, part: slice, differentiable: bool) -> Block:
        anchors = self.anchors[part] * (self.scale[part] * LOG2E)[:, None]
        logits = self.buffer[: len(anchors)]
        torch.mm(anchors, self.candidates.T, out=logits)
        i0, own = self.i0 + part.start, part.start if self.own else None
        return Block(logits, self.terms, i0, self.j0, own, differentiable)

    def shift(self, block: Block) -> Tensor | None:
        """The largest logit of every row, where sums could overflow without it."""
        if not self.shifted:
            return None
        return _row_tops(block.logits)

    def sums(self) -> RowSums:
        """The sums of all rows, block by block."""
        found = self._no_sums()
        for part in self.parts:
            block = self.block(part, False)
            shift = self.shift(block)
            block.exponentiate(shift)
            found.put(part, block.sums(shift))
        return found

    def _no_sums(self) -> RowSums:
        return RowSums(self.anchors.new_empty(len(self.anchors)))

    def differentiate(self, sums: RowSums, upstream: Tensor, gradients: Gradients) -> None:
        """Adds the gradient of ``sum(upstream * values)``, given the sums of all rows."""
        for part in self.parts:
            block = self.block(part, True)
            shift = torch.where(sums.log_total[part] > -torch.inf, sums.log_total[part], 0.0)
            block.exponentiate(shift)
            gradients.add(self, part, block.gradient(sums.part(part), shift, upstream[part]))

    def finish(self, extra: Tensor | None, upstream: Tensor, gradients: Gradients) -> RowSums:
        """Sums and gradient in one visit of every block.

        Args:
            extra: logarithm in base 2 of what else is in the denominators ``(N,)``.
            upstream: weight of every row ``(N,)``.
            gradients: added to.
        """
        found = self._no_sums()
        for part in self.parts:
            block = self.block(part, True)
            shift = self.shift(block)
            block.exponentiate(shift)
            sums = block.sums(shift).with_extra(None if extra is None else extra[part])
            gradients.add(self, part, block.gradient(sums, shift, upstream[part]))
            found.put(part, sums)
        return found


class Gradients:
    """Gradients gathered block by block; those that nobody wants stay None."""

    def __init__(self, anchors: Tensor, candidates: Tensor, needs: Sequence[bool]) -> None:
        self.anchors = torch.zeros_like(anchors) if needs[0] else None
        self.candidates = torch.zeros_like(candidates) if needs[1] else None
        self.scale = torch.zeros_like(anchors[:, 0]) if needs[2] else None

    def add(self, problem: Bilinear, part: slice, grad: BlockGradient) -> None:
        """Takes the gradient in the natural logits of a block."""
        anchors, scale = problem.anchors[part], problem.scale[part, None]
        factor = scale if grad.row_factor is None else scale * grad.row_factor[:, None]
        if self.candidates is not None:
            self.candidates.addmm_(grad.matrix.T, anchors * factor)
        if self.anchors is None and self.scale is None:
            return
        pulled = (grad.matrix @ problem.candidates).mul_(factor)
        if self.scale is not None:
            self.scale[part] += torch.linalg.vecdot(pulled, anchors) / scale[:, 0]
        if self.anchors is not None:
            self.anchors[part] += pulled

    def subtract_diagonal(self, problem: Bilinear, upstream: Tensor) -> None:
        """Takes the gradient of ``-sum(upstream * diagonal_logits)``."""
        rows = slice(0, len(problem.anchors))
        pull = -(upstream * problem.scale)[:, None]
        if self.anchors is not None:
            self.anchors.addcmul_(problem.candidates[rows], pull)
        if self.candidates is not None:
            self.candidates[rows].addcmul_(problem.anchors, pull)
        if self.scale is not None:
            cosine = torch.linalg.vecdot(problem.anchors, problem.candidates[rows])
            self.scale.sub_(upstream * cosine)


def extra_total(extra: Tensor | None) -> Tensor | None:
    """Logarithm in base 2 of the summed exponentials of natural logits ``(N, E)``."""
    return None if extra is None else LOG2E * torch.logsumexp(extra, 1)


def extra_gradient(extra: Tensor, sums: RowSums, upstream: Tensor) -> Tensor:
    """Gradient of ``sum(upstream * values)`` in the extra logits ``(N, E)``."""
    counted = upstream if sums.mass is None else torch.where(sums.mass > 0, upstream, 0.0)
    lift = torch.where(sums.log_total > -torch.inf, sums.log_total, 0.0)
    return counted[:, None] * (LOG2E * extra - lift[:, None]).exp2()


def diagonal_logits(anchors: Tensor, candidates: Tensor, scale: Tensor) -> Tensor:
    """Logit of every anchor with the candidate of its own position ``(N,)``."""
    cosine: Tensor = torch.linalg.vecdot(anchors, candidates[: len(anchors)])
    return scale * cosine


class _FinishedRows(torch.autograd.Function):
    """``sum_i weight_i value_i`` over counted rows, with the gradient made in the forward."""

    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        extra: Tensor | None,
        weights: Tensor,
        terms: Terms,
        mean: bool,
        differentiate: bool,
        share: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.share = share
        needs = ctx.needs_input_grad if differentiate else (False,) * 4
        gradients = Gradients(anchors, candidates, needs[:3])
        more = extra_total(extra)
        with products(anchors, wants_half(anchors, candidates)):
            problem = Problem(anchors, candidates, scale, terms)
            if differentiate:
                sums = problem.finish(more, weights, gradients)
            else:
                sums = problem.sums().with_extra(more)
            values, counted = sums.values(terms)
            if terms.diagonal:
                values = values - diagonal_logits(anchors, candidates, scale)
                gradients.subtract_diagonal(problem, weights)
        finished = [gradients.anchors, gradients.candidates, like_scale(gradients.scale, scale)]
        if extra is not None and needs[3]:
            finished.append(extra_gradient(extra, sums, weights))
        else:
            finished.append(None)
        total = torch.dot(weights, values)
        if mean:
            factor = 1 / torch.dot(weights, counted.to(weights.dtype)).clamp(min=TINY)
            total = total * factor
            finished = [None if grad is None else grad.mul_(factor) for grad in finished]
        ctx.save_for_backward(*finished)
        log_total = LN2 * sums.log_total
        ctx.mark_non_differentiable(counted, log_total)
        return total, counted, log_total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        finished = ctx.saved_tensors
        if not (ctx.share and grads[0].item() == 1):
            finished = [None if saved is None else saved * grads[0] for saved in finished]
        return (*finished, None, None, None, None, None)


class _Rows(torch.autograd.Function):
    """The value of every row; the blocks are made again in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        scale: Tensor,
        extra: Tensor | None,
        terms: Terms,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.half = wants_half(anchors, candidates)
        with products(anchors, ctx.half):
            sums = Problem(anchors, candidates, scale, terms).sums().with_extra(extra_total(extra))
            values, counted = sums.values(terms)
            if terms.diagonal:
                values = values - diagonal_logits(anchors, candidates, scale)
        log_total = LN2 * sums.log_total
        ctx.terms = terms
        ctx.save_for_backward(
            anchors, candidates, scale, extra, sums.log_total, sums.mass, sums.pull
        )
        ctx.mark_non_differentiable(counted, log_total)
        return values, counted, log_total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        anchors, candidates, scale, extra, *saved = ctx.saved_tensors
        sums = RowSums(*saved)
        gradients = Gradients(anchors, candidates, ctx.needs_input_grad[:3])
        with products(anchors, ctx.half):
            problem = Problem(anchors, candidates, scale, ctx.terms)
            problem.differentiate(sums, grads[0], gradients)
            if ctx.terms.diagonal:
                gradients.subtract_diagonal(problem, grads[0])
        grad_extra = extra_gradient(extra, sums, grads[0]) if ctx.needs_input_grad[3] else None
        grad_scale = like_scale(gradients.scale, scale)
        return gradients.anchors, gradients.candidates, grad_scale, grad_extra, None


def like_scale(gradient: Tensor | None, scale: Tensor) -> Tensor | None:
    """The gradient of every row's scale ``(N,)``, summed where all rows share one scale."""
    if gradient is None or scale.dim() == 1:
        return gradient
    return gradient.sum()


@dataclass(frozen=True)
class Rows:
    """What the engine gives back of a one-way problem.

    Attributes:
        values: loss of each row ``(N,)``, or its weighted sum or mean ``()``.
        counted: bool ``(N,)``, False for a row without positives.
        log_total: logarithm of each denominator ``(N,)``, without gradient.
    """

    values: Tensor
    counted: Tensor
    log_total: Tensor


def softmax_rows(
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    extra: Tensor | None = None,
    weights: Tensor | None = None,
    mean: bool = False,
) -> Rows:
    """Softmax losses of one direction, without the matrix of logits.

    Logits are ``l_ij = scale_i <a_i, c_j>``. Without ``terms.positive`` the value of row i is
    ``log sum_j exp(l_ij)``, else ``log sum_j exp(l_ij) - sum_j t_ij l_ij / sum_j t_ij`` or
    ``log sum_j exp(l_ij) - log sum_j t_ij exp(l_ij)``; ``terms.diagonal`` takes ``l_ii`` off.

    Args:
        anchors: float32 or float64 ``(N, D)``.
        candidates: same dtype ``(M, D)``.
        scale: inverse temperature, ``()`` or ``(N,)``.
        terms: which pairs count.
        extra: more logits of each denominator, ``(N, E)``.
        weights: weight of every row ``(N,)``, constant. Given, the sum of the weighted values is
            returned, its gradient already finished (three matrix products); else every value.
        mean: divide that sum by the weight of the rows that count.
    """
    if weights is None:
        values, counted, log_total = _Rows.apply(anchors, candidates, scale, extra, terms)
    else:
        tensors = [t for t in (anchors, candidates, scale, extra) if t is not None]
        wanted = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        share = all(copies_gradient(t) for t in tensors)
        values, counted, log_total = _FinishedRows.apply(
            anchors, candidates, scale, extra, weights, terms, mean, wanted, share
        )
    return Rows(values, counted, log_total)
