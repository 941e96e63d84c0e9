"""Views that bring the label of a pretext task along."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.errors import SettingError
from counterpoint.views.base import ImageView
from counterpoint.views.image import Plain
from counterpoint.views.randomness import fresh_seeds, uniform

TURNS = 4
"""By 0, 90 clockwise, 180 and 90 counter-clockwise."""

_PERMUTATION = 64
Labelled = tuple[Tensor, dict[str, Tensor]]


class _LabelledView:
    """A call does to one image what `batch` does to many."""

    def __call__(self, item: Tensor) -> Labelled:
        images, meta = self.batch(item[None], fresh_seeds(1))
        return images[0], {name: value[0] for name, value in meta.items()}

    def batch(self, items: Tensor, seeds: Tensor) -> Labelled:
        """Views of uint8 images ``(B, C, H, W)`` and the label ``(B,)`` of each."""
        raise NotImplementedError


@dataclass(frozen=True)
class Turned(_LabelledView):
    """The image turned by quarters, then a random view of it; meta ``{"turn": (B,)}``.

    Attributes:
        view: what is done after turning. A mirror makes turns of 90 degrees either way alike, as in
            the paper.
        turn: quarters clockwise, 0 to 3; the label.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939; Gidaris et al. 2018.
    """

    view: ImageView
    turn: int

    def __post_init__(self) -> None:
        if self.turn not in range(TURNS):
            raise SettingError(f"turn is a number of quarters, 0 to 3, not {self.turn}.")

    def batch(self, items: Tensor, seeds: Tensor) -> Labelled:
        turned = items.rot90(-self.turn, (2, 3))
        return self.view.batch(turned, seeds), {"turn": torch.full((len(items),), self.turn)}


@dataclass(frozen=True)
class Scrambled(_LabelledView):
    """The plain image, and which permutation its tiles get; meta ``{"permutation": (B,)}``.

    The tiles are made by `counterpoint.views.jigsaw.jigsaw`.

    Attributes:
        permutations: how many there are, of which each image draws one.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939; Noroozi and Favaro 2016.
    """

    permutations: int

    def batch(self, items: Tensor, seeds: Tensor) -> Labelled:
        drawn = uniform(seeds, _PERMUTATION, 1)[:, 0] * self.permutations
        return Plain().batch(items, seeds), {"permutation": drawn.long()}
