"""How many samples a loss sees, which must be two for any to repel."""

from __future__ import annotations

from torch import Tensor

from counterpoint.engine.ranks import peers
from counterpoint.errors import DataError


def samples_seen(rows: Tensor, across_ranks: bool) -> int:
    """Samples of this rank, or with ``across_ranks`` of all its peers.

    Args:
        rows: one a sample, ``(N, ...)``.
        across_ranks: as the objective was asked.

    Raises:
        DataError: a single one.
    """
    count = len(rows)
    if across_ranks:
        count = sum(peers().rows_by_rank(count, rows.device))
    if count < 2:
        raise DataError("A single sample has no negatives; use a batch of at least 2.")
    return count
