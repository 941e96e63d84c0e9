"""The softmax family: log-sum-exp over candidates minus the pull of the positives."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from counterpoint.engine.ranks import (
    gathered_rows,
    global_start,
    global_sum,
    global_value,
    softmax_rows_across_ranks,
)
from counterpoint.engine.row_function import RowFunction, row_losses
from counterpoint.engine.rows import Rows, softmax_rows
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.engine.tiles import self_log_sums, two_way_log_sums

NO_POSITIVE = (
    "Some anchors have no positive. They contribute 0 and are left out of the mean over anchors."
)


def reduce_rows(
    values: Tensor,
    counted: Tensor | None,
    reduction: Reduction,
    across_ranks: bool = False,
) -> Tensor:
    """Reduction over the anchors that count.

    Args:
        values: loss of each anchor ``(N,)``.
        counted: bool ``(N,)``; the others give 0 and are left out of the mean. None for all.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        across_ranks: take the mean or sum over the anchors of all ranks.
    """
    if counted is not None:
        _warn_of_uncounted(counted)
        values = torch.where(counted, values, 0.0)
    if reduction == "none":
        return values
    return reduce_total(values.sum(), _count(values, counted), reduction, across_ranks)


def _warn_of_uncounted(counted: Tensor) -> None:
    if not bool(counted.all()):
        warnings.warn(NO_POSITIVE, stacklevel=3)


def _count(values: Tensor, counted: Tensor | None) -> Tensor:
    if counted is None:
        return values.new_tensor(float(values.numel()))
    return counted.sum().to(values.dtype)


def reduce_total(total: Tensor, count: Tensor, reduction: Reduction, across_ranks: bool) -> Tensor:
    """Sum or mean over the anchors of all ranks, from this rank's sum ``()`` and count ``()``."""
    if across_ranks:
        total, count = global_value(total), global_sum(count)
    return total / count.clamp(min=1) if reduction == "mean" else total


def one_way(
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    pull: Tensor | None = None,
    counted: Tensor | None = None,
    extra: Tensor | None = None,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> tuple[Tensor, Rows]:
    """Reduced loss of anchors against candidates, and the by-products.

    Args:
        anchors: ``(N, D)``.
        candidates: ``(M, D)``.
        scale: inverse temperature, ``()`` or ``(N,)``.
        terms: which pairs count.
        pull: logit of the positives of each anchor ``(N,)``, subtracted; None where ``terms``
            tell them.
        counted: anchors that have a positive, bool ``(N,)``; None for all.
        extra: more logits of each denominator ``(N, E)``.
        reduction: over anchors.
        across_ranks: candidates and anchors of all ranks take part.
    """
    if across_ranks:
        rows = softmax_rows_across_ranks(anchors, candidates, scale, terms, extra=extra)
    elif reduction == "none":
        rows = softmax_rows(anchors, candidates, scale, terms, extra=extra)
    else:
        weights = torch.ones_like(anchors[:, 0]) if counted is None else counted.to(anchors.dtype)
        mean = reduction == "mean"
        rows = softmax_rows(
            anchors, candidates, scale, terms, extra=extra, weights=weights, mean=mean
        )
        _warn_of_uncounted(rows.counted if counted is None else counted)
        if pull is None:
            return rows.values, rows
        return rows.values - reduce_total(
            torch.dot(weights, pull), _count(weights, counted), reduction, False
        ), rows
    values = rows.values if pull is None else rows.values - pull
    if counted is None and terms.positive is not None:
        counted = rows.counted
    return reduce_rows(values, counted, reduction, across_ranks), rows


def self_way(
    z: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    pull: Tensor,
    counted: Tensor | None = None,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """Reduced loss of rows against each other; arguments as `one_way`.

    ``terms.excluded`` and ``terms.valid`` are symmetric, and the only terms.
    """
    if across_ranks or scale.dim() == 1:
        loss, _ = one_way(
            z,
            z,
            scale,
            terms,
            pull=pull,
            counted=counted,
            reduction=reduction,
            across_ranks=across_ranks,
        )
        return loss
    return reduce_rows(self_log_sums(z, scale, terms) - pull, counted, reduction)


def row_way(
    function: RowFunction,
    anchors: Tensor,
    candidates: Tensor,
    scale: Tensor,
    *,
    per_row: Sequence[Tensor] = (),
    shared: Sequence[Tensor] = (),
    width: int = 1,
    counted: Tensor | None = None,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """Reduced loss of any function of whole rows (see `row_losses`).

    With ``across_ranks`` every rank holds the candidates of all (linear in the batch), and
    positions are global.
    """
    first = 0
    if across_ranks:
        first = global_start(anchors)
        candidates = gathered_rows(candidates)
    weights = None
    if reduction != "none":
        weights = torch.ones_like(anchors[:, 0]) if counted is None else counted.to(anchors.dtype)
    losses = row_losses(
        function,
        anchors,
        candidates,
        scale,
        per_row=per_row,
        shared=shared,
        width=width,
        weights=weights,
        first=first,
    )
    if weights is None:
        return reduce_rows(losses, counted, reduction)
    return reduce_total(losses, _count(weights, counted), reduction, across_ranks)


def two_way(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    terms: Terms,
    *,
    pull: Tensor | None = None,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> tuple[Tensor, Tensor]:
    """Reduced losses of x against y and of y against x; row i of one belongs to row i of the other.

    Args:
        x: ``(N, D)``.
        y: ``(N, D)``.
        scale: inverse temperature, ``()`` or one value a pair ``(N,)``.
        terms: a symmetric ``valid`` of (row of x, row of y).
        pull: logit of the positives of each row of x ``(N,)``; None for that of its own pair,
            which is the pull of y in any case.
        reduction: over anchors.
        across_ranks: the rows of all ranks take part.
    """
    own = pull is None
    if across_ranks or scale.dim() == 1:
        along, _ = one_way(
            x,
            y,
            scale,
            replace(terms, diagonal=own),
            pull=pull,
            reduction=reduction,
            across_ranks=across_ranks,
        )
        down, _ = one_way(
            y,
            x,
            scale,
            replace(terms, diagonal=True),
            reduction=reduction,
            across_ranks=across_ranks,
        )
        return along, down
    rows, columns = two_way_log_sums(x, y, scale, terms, diagonal=(own, True))
    rows = rows if pull is None else rows - pull
    return reduce_rows(rows, None, reduction), reduce_rows(columns, None, reduction)
