"""The nearest candidates of every anchor, found in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from counterpoint.engine.rows import row_blocks
from counterpoint.engine.terms import IndexFunction, index_block


@torch.no_grad()
def best_candidates(anchors: Tensor, candidates: Tensor) -> Tensor:
    """``argmax_j <a_i, c_j>`` of every anchor, the first of equal ones.

    Args:
        anchors: ``(N, D)``.
        candidates: ``(M, D)``.

    Returns:
        int64 ``(N,)``.
    """
    found = torch.empty(len(anchors), dtype=torch.long, device=anchors.device)
    for rows, scores in _scores(anchors, candidates):
        found[rows] = scores.argmax(1)
    return found


def _scores(anchors: Tensor, candidates: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Products of some anchors with all candidates, in one reused buffer."""
    parts = list(row_blocks(len(anchors), len(candidates)))
    buffer = anchors.new_empty(parts[0].stop, len(candidates))
    for rows in parts:
        block = anchors[rows]
        yield rows, torch.mm(block, candidates.T, out=buffer[: len(block)])


@torch.no_grad()
def nearest_candidates(
    anchors: Tensor,
    candidates: Tensor,
    count: int,
    valid: IndexFunction | None = None,
    first: int = 0,
) -> tuple[Tensor, Tensor]:
    """The ``count`` candidates of largest ``<a_i, c_j>`` of every anchor, the nearest first.

    Args:
        anchors: ``(N, D)``.
        candidates: ``(M, D)``.
        count: at least 1; cut to M.
        valid: ``valid(i, j)``, pairs that may be found; None for all.
        first: position of the first anchor, as ``valid`` sees it.

    Returns:
        Positions int64 ``(N, count)``, and whether they are valid, bool ``(N, count)``.
    """
    count = min(count, len(candidates))
    positions = torch.empty(len(anchors), count, dtype=torch.long, device=anchors.device)
    there = torch.empty_like(positions, dtype=torch.bool)
    for rows, scores in _scores(anchors, candidates):
        if valid is not None:
            i, j = index_block(first + rows.start, 0, scores)
            scores.masked_fill_(~valid(i, j), -torch.inf)
        found = scores.topk(count, dim=1)
        positions[rows], there[rows] = found.indices, found.values > -torch.inf
    return positions, there
