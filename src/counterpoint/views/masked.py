"""A view with random blocks marked that one network shall not see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.errors import SettingError
from counterpoint.views.image import Augment
from counterpoint.views.randomness import fresh_seeds, uniform

HIDDEN = "hidden"
"""The name of the marked pixels among a view's metadata."""

BLOCKS = 14
"""Blocks along a side: of 16 pixels in an image of 224."""

_SHARE, _ORDER = 20, 21


@dataclass(frozen=True)
class Masked:
    """A random view, whole, with a random share of its blocks marked ``{"hidden": (B, 1, H, W)}``.

    There are 14 x 14 blocks, or as many as there are pixels.

    Args:
        view: the view.
        share: mean share of marked blocks, in [0, 1].
        spread: the share of a view lies evenly in ``share -+ spread``, cut to [0, 1].

    Raises:
        SettingError: a setting out of range.

    Source: Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR, arXiv 2402.02444 (0.15, 0.1).
    """

    view: Augment
    share: float
    spread: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not 0 <= self.spread <= 1:
            raise SettingError(
                f"share and spread must be in [0, 1], not {self.share}, {self.spread}."
            )

    def __call__(self, item: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        images, meta = self.batch(item[None], fresh_seeds(1))
        return images[0], {name: value[0] for name, value in meta.items()}

    def batch(self, items: Tensor, seeds: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Views of uint8 images ``(B, C, H, W)``, and which of their pixels are marked."""
        height, width = items.shape[2:]
        rows, columns = min(BLOCKS, height), min(BLOCKS, width)
        low, high = self.share - self.spread, self.share + self.spread
        share = (low + (high - low) * uniform(seeds, _SHARE, 1)).clamp(0, 1)
        place = uniform(seeds, _ORDER, rows * columns).argsort(1).argsort(1)
        blocks = (place < (share * rows * columns).round()).view(-1, 1, rows, columns)
        down = torch.arange(height) * rows // height
        across = torch.arange(width) * columns // width
        return self.view.batch(items, seeds), {HIDDEN: blocks[:, :, down][..., across]}
