"""Random places in rows of weights, replayable."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_places(
    weights: Tensor, *, draws: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """A place drawn from each row in proportion to its weights.

    Args:
        weights: at least 0, ``(B, k)``; rows need not sum to 1, but to more than 0.
        draws: numbers in [0, 1) ``(B,)`` that decide, so that a run can be replayed: the place is
            the first whose cumulated share exceeds the number.
        generator: of the draw if there are none.

    Returns:
        int64 ``(B,)``.
    """
    total = weights.double().cumsum(1)
    if draws is None:
        draws = torch.rand(len(weights), generator=generator, dtype=torch.float64)
    point = draws.to(total)[:, None] * total[:, -1:]
    place = torch.searchsorted(total, point, right=True)[:, 0]
    return place.clamp(max=weights.shape[1] - 1)
