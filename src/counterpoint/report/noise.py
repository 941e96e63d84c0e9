"""What a finite test set can and cannot tell apart."""

from __future__ import annotations

import math


def standard_error(accuracy: float, samples: int) -> float:
    """Binomial standard error ``sqrt(p (1 - p) / n)`` of an accuracy measured on n samples.

    Args:
        accuracy: p in [0, 1].
        samples: n > 0 test samples.
    """
    return math.sqrt(max(accuracy * (1 - accuracy), 0.0) / samples)


def indistinguishable(first: float, second: float, samples: int) -> bool:
    """Whether two accuracies differ by no more than the standard error of their difference.

    The error is ``sqrt(se(p)^2 + se(q)^2)``, as for independent test sets. Both are measured on the
    same one, where errors usually agree, so the rule calls rather too much a tie than too little.
    """
    error = math.hypot(standard_error(first, samples), standard_error(second, samples))
    return abs(first - second) <= error
