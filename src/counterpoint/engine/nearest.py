"""The best candidate of every anchor, found in blocks of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.rows import row_blocks


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
