"""Crop, mirror, rotation and shear of a batch of images as one resampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.views.randomness import between


def warp_matrices(
    unit: Tensor,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    shift: float,
    mirror: float,
    rotate: float,
    shear: float,
) -> Tensor:
    """Random affine maps from the coordinates of a view to those of its image.

    Both run over [-1, 1]². The map is A x + t with A = rotation · shear · diag(±w, h), where
    w h is the area of the crop, w / h its ratio, and t keeps the crop inside the image (or, where
    it is larger than the image, the image inside the crop) up to ``shift``.

    Args:
        unit: numbers in [0, 1), ``(B, 7)``.
        scale: range of the crop's area, 1 being the whole image.
        ratio: range of width / height, drawn evenly in its logarithm.
        shift: how far the crop may leave the image, in image widths.
        mirror: probability of a left-right flip.
        rotate: largest angle, in degrees.
        shear: largest horizontal shear, as a slope.

    Returns:
        ``(B, 2, 3)``.
    """
    area, stretch, right, down, flip, turn, slope = unit.unbind(1)
    size = between(area, *scale).sqrt()
    half_ratio = between(stretch, math.log(ratio[0]), math.log(ratio[1])).div(2).exp()
    width, height = size * half_ratio, size / half_ratio
    if scale[1] <= 1:
        width, height = width.clamp(max=1), height.clamp(max=1)
    x = (2 * right - 1) * ((1 - width).abs() + 2 * shift)
    y = (2 * down - 1) * ((1 - height).abs() + 2 * shift)
    width = torch.where(flip < mirror, -width, width)
    angle = math.radians(rotate) * (2 * turn - 1)
    lean = shear * (2 * slope - 1)
    cos, sin = angle.cos(), angle.sin()
    rows = [
        [cos * width, (cos * lean - sin) * height, x],
        [sin * width, (sin * lean + cos) * height, y],
    ]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def warp(images: Tensor, matrices: Tensor, on_background: bool = False) -> Tensor:
    """Resamples images bilinearly.

    Args:
        images: float ``(B, C, H, W)``.
        matrices: ``(B, 2, 3)``, see `warp_matrices`.
        on_background: outside an image lies its `paper`; otherwise its border is repeated.
    """
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    if not on_background:
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    ground = paper(images)
    return F.grid_sample(images - ground, grid, align_corners=False) + ground


def paper(images: Tensor) -> Tensor:
    """What a character stands on: the median of the outline, ``(B, C, 1, 1)``."""
    edges = [images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]]
    return torch.cat(edges, -1).median(-1).values[..., None, None]
