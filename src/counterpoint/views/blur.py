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
    batch, channels, height, side = images.shape
    radius = min(max(1, math.ceil(2 * largest)), height - 1, side - 1)
    taps = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (taps / sigma[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    kernel = kernel.repeat_interleave(channels, 0)[:, None]
    padded = F.pad(images, (radius,) * 4, mode="reflect").flatten(0, 1)[None]
    planes = batch * channels
    across = F.conv2d(padded, kernel[:, :, None], groups=planes)
    return F.conv2d(across, kernel[..., None], groups=planes).view_as(images)
