"""From paired values to an effect, an interval and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from counterpoint.claims._claim import Pair, Part
from counterpoint.errors import require

Verdict = Literal["holds", "not shown", "refuted"]

INTERVAL = "paired t interval, 95 %, over seeds"
RULE = (
    "A part holds when its whole interval lies beyond the margin in the claimed direction; it is "
    "refuted when the whole interval lies in the opposite direction, or by its own stated rule; "
    "else it is not shown. A claim holds when all its parts do, and is refuted when one is."
)


def effect(pairs: Sequence[Pair]) -> tuple[float, tuple[float, float]]:
    """Mean of ``method - baseline`` and its 95 % interval ``mean -+ t_{n-1} s / sqrt(n)``.

    Args:
        pairs: at least two, one a seed.
    """
    gaps = [method - baseline for method, baseline in pairs]
    mean, count = fmean(gaps), len(gaps)
    quantile = float(require("scipy.stats", "probe").t.ppf(0.975, count - 1))
    half = quantile * stdev(gaps) / count**0.5
    return mean, (mean - half, mean + half)


def judge(part: Part, pairs: Sequence[Pair]) -> Verdict:
    """The verdict on a part, by `RULE`."""
    sign = 1 if part.direction == "higher" else -1
    mean, ends = effect(pairs)
    low, high = sorted(sign * end for end in ends)
    if part.refuted_below is not None:
        gaps = [sign * (method - baseline) for method, baseline in pairs]
        if (min(gaps) if part.every_seed else sign * mean) < part.refuted_below:
            return "refuted"
    if high < min(part.margin, 0):
        return "refuted"
    return "holds" if low > part.margin else "not shown"


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim from those on its parts."""
    if "refuted" in verdicts:
        return "refuted"
    return "holds" if all(verdict == "holds" for verdict in verdicts) else "not shown"
