"""An image with the noise that a denoiser is to find in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.views.image import Plain
from counterpoint.views.randomness import fresh_seeds, normal, uniform

_LEVEL, _NOISE = range(2)


@dataclass(frozen=True)
class Noised:
    """The plain image, with a level and standard normal noise as metadata.

    ``{"level": (B,), "noise": (B, C, H, W)}``; the level is uniform in 0 .. ``levels`` - 1.

    Args:
        levels: how many there are.

    Source: Ho et al. 2020, Denoising Diffusion Probabilistic Models, arXiv 2006.11239, Eq. 14.
    """

    levels: int

    def __call__(self, item: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        images, meta = self.batch(item[None], fresh_seeds(1))
        return images[0], {name: value[0] for name, value in meta.items()}

    def batch(self, items: Tensor, seeds: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Float images of uint8 ones ``(B, C, H, W)``, with levels and noise."""
        level = (uniform(seeds, _LEVEL, 1)[:, 0] * self.levels).to(torch.int64)
        noise = normal(seeds, _NOISE, items[0].numel()).view(items.shape)
        return Plain().batch(items, seeds), {"level": level, "noise": noise}
