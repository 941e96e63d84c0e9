"""What becomes of flagged labels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from counterpoint.curation.judge import Judgement
from counterpoint.probes.inputs import Ints

Policy = Literal["gated", "all", "drop"]
LEAST_CONFIDENCE = 0.5


def applied(judgement: Judgement, policy: Policy, free: Any) -> tuple[Ints, NDArray[np.bool_]]:
    """Labels after a policy, and which rows it keeps.

    ``"gated"`` replaces the flagged labels whose suggestion is at least as likely as not,
    ``"all"`` gives every row the likeliest label, ``"drop"`` leaves the flagged rows out. Rows that
    cannot be decided and rows of rare classes stay as they are, unless equal content disagrees.

    Args:
        judgement: of N rows.
        policy: which.
        free: rows that may change, bool ``(N,)``.
    """
    y = judgement.labels
    twin = judgement.twins.conflicting
    free = free & ~judgement.undecidable & (~judgement.rare | twin)
    kept = np.ones(len(y), dtype=bool)
    if policy == "drop":
        return y, ~(free & judgement.flagged)
    if policy == "all":
        return np.where(free, np.where(twin, judgement.standing, judgement.best), y), kept
    sure = (judgement.confidence >= LEAST_CONFIDENCE) | twin
    return np.where(free & judgement.flagged & sure, judgement.suggested, y), kept
