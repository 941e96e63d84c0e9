"""The course of a run: where scores lie and where the gradient goes, from time to time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoint.geometry import (
    alignment,
    pull,
    push_of_hardest,
    transformed_scores,
    uniformity,
)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HARDEST = (0.01, 0.1, 0.5)


@torch.no_grad()
def course_point(
    anchors: Tensor, positives: Tensor, temperature: float, step: int
) -> dict[str, Any]:
    """What one step adds to the charts of a run's course.

    Args:
        anchors: ``(B, D)``, B at least 3.
        positives: ``(B, D)``.
        temperature: of the softmax that the gradient shares are those of.
        step: number of the step; seeds the draws of the transformations.

    Returns:
        Plain JSON values: ``{"step", "alignment", "uniformity", "temperature", "scores":
        {transformation: {"positive": quantiles, "negative": quantiles, "pull": mean 1 - p,
        "hardest": shares of the push on the hardest 1, 10 and 50 % of the negatives}}}``, with the
        transformations of `counterpoint.geometry.transformed_scores` and the 5, 25, 50, 75 and
        95 % quantiles.
    """
    a, b = anchors.float(), positives.float()
    scores = transformed_scores(a, b, seed=step)
    return {
        "step": step,
        "alignment": float(alignment(a, b)),
        "uniformity": float(uniformity(a)),
        "temperature": temperature,
        "scores": {name: _summary(*pair, temperature) for name, pair in scores.items()},
    }


def _summary(positive: Tensor, negatives: Tensor, temperature: float) -> dict[str, Any]:
    return {
        "positive": _quantiles(positive),
        "negative": _quantiles(negatives),
        "pull": float(pull(positive, negatives, temperature).mean()),
        "hardest": push_of_hardest(negatives, temperature, HARDEST).tolist(),
    }


def _quantiles(scores: Tensor) -> list[float]:
    levels = torch.tensor(QUANTILES, device=scores.device)
    found: list[float] = scores.flatten().quantile(levels).tolist()
    return found
