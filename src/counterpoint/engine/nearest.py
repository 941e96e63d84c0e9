"""The nearest candidates of every anchor, found in blocks of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.rows import row_blocks
from counterpoint.engine.terms import IndexFunction, index_block


@torch.no_grad()
def best_candidates(
    anchors: Tensor, candidates: Tensor, offset: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    """``argmax_j (scale <a_i, c_j> + offset_j)`` of every anchor, the first of equal ones.

    Args:
        anchors: ``(N, D)``.
        candidates: ``(M, D)``.
        offset: added to the score of each candidate ``(M,)``.
        scale: factor of the products.

    Returns:
        int64 ``(N,)``.
    """
    found = []
    for rows in row_blocks(len(anchors), len(candidates)):
        scores = (anchors[rows] @ candidates.T).mul_(scale)
        found.append((scores if offset is None else scores.add_(offset)).argmax(1))
    return torch.cat(found)


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
    positions, there = [], []
    for rows in row_blocks(len(anchors), len(candidates)):
        scores = anchors[rows] @ candidates.T
        if valid is not None:
            i, j = index_block(first + rows.start, 0, scores)
            scores.masked_fill_(~valid(i, j), -torch.inf)
        found = scores.topk(min(count, len(candidates)), dim=1)
        positions.append(found.indices)
        there.append(found.values > -torch.inf)
    return torch.cat(positions), torch.cat(there)
