"""Gaussian blur of a batch, each picture with its own width."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def blur(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Convolves each picture with a Gaussian, cut off at two of the largest widths.

    Args:
        images: float ``(B, C, H, W)``.
        sigma: width of each picture's Gaussian in pixels, ``(B,)``, above 0.
        largest: upper bound of ``sigma``; sets the size of the kernel.
    """
    height, width = images.shape[2:]
    radius = min(max(1, math.ceil(2 * largest)), height - 1, width - 1)
    taps = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (taps / sigma[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    return _along(_along(padded, kernel, 2), kernel, 3)


def _along(images: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Weighted sum of shifted pictures; a picture's result does not depend on its neighbours."""
    length = images.shape[axis] - kernel.shape[1] + 1
    weights = kernel[:, :, None, None, None]
    total = images.narrow(axis, 0, length) * weights[:, 0]
    for tap in range(1, kernel.shape[1]):
        total.addcmul_(images.narrow(axis, tap, length), weights[:, tap])
    return total
