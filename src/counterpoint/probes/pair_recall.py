"""How often an embedding finds its own partner first."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import prepare, same_rows
from counterpoint.engine.nearest import best_candidates


@torch.no_grad()
def pair_recall(x: Tensor, y: Tensor, *, normalize: bool = True) -> tuple[float, float]:
    """Recall@1 of pairs, from x to y and from y to x.

    The share of rows i whose best candidate on the other side, by cosine, is row i; of equal ones
    the first is taken.

    Args:
        x: embeddings of one side, float ``(N, D)``.
        y: of the other, float ``(N, D)``; row i belongs to row i of x.
        normalize: divide every row by its length; False takes inner products.

    Returns:
        Both shares, in [0, 1].

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.

    Source: retrieval as in Radford et al. 2021, CLIP.
    """
    same_rows(x=x, y=y)
    x, y = prepare(normalize, x=x, y=y)
    own = torch.arange(len(x), device=x.device)
    found = [(best_candidates(*sides) == own).double().mean() for sides in ((x, y), (y, x))]
    return float(found[0]), float(found[1])
