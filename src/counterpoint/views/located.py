"""A view that says which part of its image it shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.errors import SettingError
from counterpoint.views.image import Augment
from counterpoint.views.randomness import fresh_seeds

BOX = "box"
"""The name of the crop among a view's metadata."""


@dataclass(frozen=True)
class Located:
    """A random view with its crop as metadata ``{"box": (B, 4)}``.

    A box is left, top, right, bottom of the crop, where the image runs from 0 to 1 between its
    outer edges. A mirrored view has left and right swapped, so that the cells of its feature map
    still lie where `counterpoint.pairs.cells.cell_centres` finds them. Crops may leave the image.

    Args:
        view: the view; without rotation and shear, which no box describes.

    Raises:
        SettingError: the view rotates or shears.

    Source: Xie et al. 2021, PixPro, arXiv 2011.10043; boxes run between the edges of pixels, not
    between their centres as in the authors' code.
    """

    view: Augment

    def __post_init__(self) -> None:
        if self.view.rotate or self.view.shear:
            raise SettingError(
                "A crop with rotate or shear is no box; set both to 0, not "
                f"{self.view.rotate} and {self.view.shear}."
            )

    def __call__(self, item: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        images, meta = self.batch(item[None], fresh_seeds(1))
        return images[0], {name: value[0] for name, value in meta.items()}

    def batch(self, items: Tensor, seeds: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Views of uint8 images ``(B, C, H, W)``, and their boxes."""
        matrices = self.view.matrices(seeds)
        middle = matrices[:, :, 2]
        half = torch.stack([matrices[:, 0, 0], matrices[:, 1, 1]], 1)
        boxes = (torch.cat([middle - half, middle + half], 1) + 1) / 2
        return self.view.batch(items, seeds), {BOX: boxes}
