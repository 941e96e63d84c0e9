"""Probabilities that mean what they say, by one temperature."""

from __future__ import annotations

import numpy as np

from counterpoint.probes.inputs import Floats, Ints

SMALLEST = 1e-9
TEMPERATURES = np.geomspace(0.2, 5, 60)


def temperature_scaled(probabilities: Floats, labels: Ints) -> tuple[Floats, float]:
    """``softmax(log p / T)`` with the T that gives the given labels the highest likelihood.

    Args:
        probabilities: ``(N, C)``, rows on the simplex, of a model that has not seen the labels.
        labels: ``(N,)``; wrong ones among them make the probabilities humbler, never bolder.

    Returns:
        ``(N, C)`` and T, one of 60 values between 0.2 and 5.
    """
    logs = np.log(probabilities + SMALLEST)
    rows = np.arange(len(labels))
    losses = [-np.log(scaled(logs, t)[rows, labels] + SMALLEST).mean() for t in TEMPERATURES]
    best = float(TEMPERATURES[int(np.argmin(losses))])
    return scaled(logs, best), best


def scaled(logs: Floats, temperature: float) -> Floats:
    """``softmax(logs / temperature)`` row by row."""
    x = logs / temperature
    e = np.exp(x - x.max(axis=1, keepdims=True))
    shares: Floats = e / e.sum(axis=1, keepdims=True)
    return shares
