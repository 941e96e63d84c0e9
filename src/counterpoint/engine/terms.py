"""What the engine is told about pairs: small functions of index blocks, never a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

IndexFunction = Callable[[Tensor, Tensor], Tensor]
"""``f(i, j)`` of anchor positions ``(b, 1)`` and candidate positions ``(1, m)``, int64, to a bool
or float block that broadcasts to ``(b, m)``."""

LogitFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``f(logits, i, j)`` of a block of natural logits ``(b, m)`` to the logits used instead."""

Aggregate = Literal["mean_log", "log_sum"]
Reduction = Literal["mean", "sum", "none"]


@dataclass(frozen=True)
class Terms:
    """Which candidates enter the sums of an anchor, and how strongly.

    Attributes:
        excluded: candidates ``i + offset`` take no part in row i; with several ranks this speaks
            of the candidates of the anchor's own rank.
        valid: pairs that are not valid take no part in anything.
        weight: multiplies ``exp(logit)`` in every sum; 0 leaves the pair out.
        logit: changes the logits before anything else sees them; differentiated by autograd.
        positive: bool or non-negative float weight of a pair as a positive.
        decoupled: positives are left out of the denominator.
        aggregate: ``"mean_log"`` averages the logits of the positives, ``"log_sum"`` takes the
            logarithm of the sum of their exponentials.
        diagonal: the logit of pair (i, i) is subtracted from the value of row i: candidate i is
            its positive. With several ranks this speaks of the anchor's own rank.
    """

    excluded: tuple[int, ...] = ()
    valid: IndexFunction | None = None
    weight: IndexFunction | None = None
    logit: LogitFunction | None = None
    positive: IndexFunction | None = None
    decoupled: bool = False
    aggregate: Aggregate = "mean_log"
    diagonal: bool = False

    @property
    def indexed(self) -> bool:
        return any(x is not None for x in (self.valid, self.weight, self.logit, self.positive))

    @property
    def unbounded(self) -> bool:
        """Whether logits can be larger than lengths and temperature allow."""
        return self.weight is not None or self.logit is not None


def index_block(i0: int, j0: int, block: Tensor) -> tuple[Tensor, Tensor]:
    """Positions ``i`` (b, 1) and ``j`` (1, m) of a block that starts at row i0, column j0."""
    rows, columns = block.shape
    i = torch.arange(i0, i0 + rows, device=block.device)[:, None]
    j = torch.arange(j0, j0 + columns, device=block.device)[None, :]
    return i, j


def fill_offsets(block: Tensor, offsets: tuple[int, ...], start: int, value: float) -> None:
    """Writes ``value`` where column minus row is one of the offsets, in place.

    Args:
        start: row of the block's first row, minus column of its first column.
    """
    rows, columns = block.shape
    for offset in offsets:
        local = offset + start
        if -rows < local < columns:
            block.diagonal(local).fill_(value)
