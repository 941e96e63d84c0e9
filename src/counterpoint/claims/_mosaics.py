"""Pictures of several digits side by side, for claims about several things in an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from counterpoint import data
from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.items import ImageStack


def mosaics(
    rows: int, columns: int, *, zoom: int, train: int, test: int, seed: int
) -> tuple[Dataset, Tensor, Tensor]:
    """Images of ``rows x columns`` random digits, each 8 zoom pixels wide.

    Held-out images are made of held-out digits.

    Returns:
        The images, without labels; the digit at each place ``(train, rows, columns)`` of the
        training images, and ``(test, rows, columns)`` of the held-out ones.
    """
    digits = data.load("digits", seed=0)
    generator = torch.Generator().manual_seed(seed)
    made = [
        _draw(part, count, rows, columns, zoom, generator)
        for part, count in ((digits.train, train), (digits.test, test))
    ]
    splits = [Split(ImageStack(pixels), [str(i) for i in range(len(pixels))]) for pixels, _ in made]
    whole = Dataset(
        name="mosaics",
        modality="images",
        train=splits[0],
        test=splits[1],
        channels=1,
        size=8 * zoom * columns,
        held_out="digits of their own",
    )
    return whole, made[0][1], made[1][1]


def _draw(
    digits: Split, count: int, rows: int, columns: int, zoom: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    assert digits.labels is not None
    chosen = torch.randint(len(digits), (count, rows, columns), generator=generator)
    tiles = digits.gather(chosen.flatten()).float()
    tiles = interpolate(tiles, scale_factor=zoom, mode="bilinear").round().to(torch.uint8)
    side = 8 * zoom
    grid = tiles.view(count, rows, columns, side, side).transpose(2, 3)
    return grid.reshape(count, 1, rows * side, columns * side), digits.labels[chosen]
