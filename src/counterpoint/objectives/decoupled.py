"""What ``decoupled=`` of an objective means: the positive is left out of the denominator."""

from __future__ import annotations

from counterpoint.engine.ranks import peers
from counterpoint.errors import DataError


def left_out(decoupled: bool, rows: int, across_ranks: bool, *offsets: int) -> tuple[int, ...]:
    """Offsets of the candidates that an anchor leaves out, none unless decoupled.

    Args:
        decoupled: as the objective was asked.
        rows: samples on this rank.
        across_ranks: whether those of other ranks are negatives too.
        offsets: where the positives of an anchor stand.

    Raises:
        DataError: a single sample, decoupled: it has neither positive nor negative left.

    Source: Yeh et al. 2022, Decoupled Contrastive Learning, arXiv 2110.06848.
    """
    if not decoupled:
        return ()
    if rows == 1 and not (across_ranks and peers().size > 1):
        raise DataError(
            "A single sample has no negatives, and without them the decoupled loss is not defined. "
            "Use a batch of at least 2 (drop_last=True in the loader)."
        )
    return offsets
