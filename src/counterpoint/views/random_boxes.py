"""Boxes at random places of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import SettingError


def random_boxes(
    images: int,
    count: int = 16,
    *,
    smallest: float = 0.2,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Boxes whose width and height are uniform in [smallest, 1], placed uniformly inside.

    Args:
        images: N.
        count: R, boxes an image.
        smallest: in (0, 1]; at least a cell of the coarsest feature map, so that no box is empty.
        generator: of the draw.

    Returns:
        ``(N, R, 4)``: left, top, right, bottom as fractions of the image.

    Raises:
        SettingError: numbers out of range.

    Source: Kim et al. 2023, DITO, arXiv 2310.00161 (distribution reconstructed).
    """
    if min(images, count) < 1 or not 0 < smallest <= 1:
        raise SettingError("images and count must be at least 1, smallest in (0, 1].")
    size, place = torch.rand(2, images, count, 2, generator=generator)
    size = smallest + (1 - smallest) * size
    corner = place * (1 - size)
    return torch.cat([corner, corner + size], -1)
