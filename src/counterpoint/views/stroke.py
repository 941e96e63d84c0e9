"""Thicker and thinner strokes of characters and drawings."""

from __future__ import annotations

import math

from torch import Tensor

from counterpoint.views.blur import blur
from counterpoint.views.randomness import between
from counterpoint.views.warp import paper

SIGMA = (0.3, 1.0)
"""Range of the Gaussian's width, in pixels at 32 pixels of height."""


def restroke(images: Tensor, unit: Tensor, threshold: float, gain: float) -> Tensor:
    """Changes the weight of strokes: blur, then amplify what exceeds a threshold.

    With d the difference from the paper, D the blurred one, and ``|D|`` divided by its largest
    value, the new difference is ``sign(D) · max(|D| - t, 0) · g / (1 - t) · max|d|``, at most
    ``max|d|``: a high t makes strokes thinner, a high g thicker, and none vanishes.

    Args:
        images: float in [0, 1] ``(B, C, H, W)``.
        unit: numbers in [0, 1), ``(B, 3)``.
        threshold: t is drawn evenly from [0, threshold), below 1.
        gain: g is drawn from [1, gain), evenly in its logarithm.
    """
    width, cut, force = unit.unbind(1)
    scale = images.shape[2] / 32
    sigma = between(width, SIGMA[0] * scale, SIGMA[1] * scale)
    ground = paper(images)
    ink = blur(images, sigma, SIGMA[1] * scale) - ground
    deepest = (images - ground).abs().amax((1, 2, 3), keepdim=True)
    share = ink.abs() / ink.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    t = between(cut, 0, threshold)[:, None, None, None]
    g = between(force, 0, math.log(gain)).exp()[:, None, None, None]
    stroke = ((share - t) * (g / (1 - t))).clamp_(0, 1)
    return (ground + ink.sign() * stroke * deepest).clamp_(0, 1)
