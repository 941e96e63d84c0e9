"""Every objective without the engine: whole matrices in plain torch, differentiated by autograd.

Inside `dense` the doors of the engine hold all pairs at once, as one would write an objective in
plain torch. What an objective does besides stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from counterpoint.engine import moments, nearest, row_function, rows, tiles
from counterpoint.engine.rows import Rows
from counterpoint.engine.terms import IndexFunction, Terms, fill_offsets, index_block


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
    logits = anchors @ candidates.T * scale.expand(len(anchors))[:, None]
    i, j = index_block(0, 0, logits)
    if terms.logit is not None:
        logits = terms.logit(logits, i, j)
    valid = _valid(logits, terms)
    entering = logits.masked_fill(~valid, -torch.inf)
    if terms.weight is not None:
        entering = entering + terms.weight(i, j).to(logits).log()
    pull, counted = logits.new_zeros(()), torch.ones_like(logits[:, 0], dtype=torch.bool)
    if terms.positive is not None:
        positive = terms.positive(i, j).to(logits).expand_as(logits) * valid
        mass = positive.sum(1)
        counted = mass > 0
        if terms.aggregate == "mean_log":
            pull = (positive * logits).sum(1) / mass.clamp(min=rows.TINY)
        else:
            pull = (entering + positive.log()).logsumexp(1)
        if terms.decoupled:
            entering = entering.masked_fill(positive > 0, -torch.inf)
    total = (entering if extra is None else torch.cat([entering, extra], 1)).logsumexp(1)
    values = torch.where(counted & (total > -torch.inf), total - pull, 0.0)
    if terms.diagonal:
        values = values - logits.diagonal()
    if weights is not None:
        values = torch.dot(weights, values)
        if mean:
            values = values / torch.dot(weights, counted.to(weights)).clamp(min=rows.TINY)
    return Rows(values, counted, total.detach())


def _valid(logits: Tensor, terms: Terms) -> Tensor:
    valid = torch.ones_like(logits, dtype=torch.bool)
    fill_offsets(valid, terms.excluded, 0, False)
    if terms.valid is not None:
        valid &= terms.valid(*index_block(0, 0, logits))
    return valid


def row_losses(
    function: row_function.RowFunction,
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
    logits = anchors @ candidates.T * scale.expand(len(anchors))[:, None]
    losses = function(logits, *index_block(first, 0, logits), *per_row, *shared)
    return losses if weights is None else torch.dot(weights, losses)


def self_log_sums(z: Tensor, scale: Tensor, terms: Terms) -> Tensor:
    return two_way_log_sums(z, z, scale, terms)[0]


def two_way_log_sums(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    diagonal: tuple[bool, bool] = (False, False),
) -> tuple[Tensor, Tensor]:
    logits = x @ y.T * scale
    if terms.excluded or terms.valid is not None:
        logits = logits.masked_fill(~_valid(logits, terms), -torch.inf)
    own = scale * torch.linalg.vecdot(x, y) if any(diagonal) else 0.0
    found = [logits.logsumexp(dim) for dim in ((1,) if x is y else (1, 0))]
    finite = [torch.where(sums > -torch.inf, sums, 0.0) for sums in found]
    return finite[0] - diagonal[0] * own, finite[-1] - diagonal[1] * own


@torch.no_grad()
def best_candidates(
    anchors: Tensor, candidates: Tensor, offset: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    scores = anchors @ candidates.T * scale
    return (scores if offset is None else scores + offset).argmax(1)


@torch.no_grad()
def nearest_candidates(
    anchors: Tensor,
    candidates: Tensor,
    count: int,
    valid: IndexFunction | None = None,
    first: int = 0,
) -> tuple[Tensor, Tensor]:
    scores = anchors @ candidates.T
    if valid is not None:
        scores = scores.masked_fill(~valid(*index_block(first, 0, scores)), -torch.inf)
    found = scores.topk(min(count, len(candidates)), dim=1)
    return found.indices, found.values > -torch.inf


def cross_moment(features: Tensor, scale: Tensor, rows: Tensor) -> Tensor:
    return (features * scale[:, None]).to(rows).T @ rows


def bilinear(features: Tensor, scale: Tensor, moment: Tensor, rows: Tensor) -> Tensor:
    return torch.linalg.vecdot((features * scale[:, None]).to(rows) @ moment, rows)


DOORS = {
    rows.softmax_rows: softmax_rows,
    row_function.row_losses: row_losses,
    tiles.self_log_sums: self_log_sums,
    tiles.two_way_log_sums: two_way_log_sums,
    nearest.best_candidates: best_candidates,
    nearest.nearest_candidates: nearest_candidates,
    moments.cross_moment: cross_moment,
    moments.bilinear: bilinear,
}


@contextmanager
def dense() -> Iterator[dict[str, int]]:
    """Inside, objectives hold every pair; gives how many were asked for at once, by door."""
    used: dict[str, int] = {}
    changed = []
    for module in [m for name, m in sys.modules.items() if name.startswith("counterpoint.")]:
        for name, value in list(vars(module).items()):
            if callable(value) and getattr(value, "__hash__", None) and value in DOORS:
                changed.append((module, name, value))
                setattr(module, name, _counted(DOORS[value], used))
    try:
        yield used
    finally:
        for module, name, value in changed:
            setattr(module, name, value)


def _counted(door: Any, used: dict[str, int]) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        found = [x for x in args if isinstance(x, Tensor)]
        pairs = len(found[0]) * len(found[1] if found[1].dim() == 2 else found[0])
        used[door.__name__] = max(pairs, used.get(door.__name__, 0))
        return door(*args, **kwargs)

    return counted
