"""PixPro and PixContrast: the cells of two crops agree where they show the same place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.feature_map import feature_map, map_shape
from counterpoint.encoders.heads import pixel_projection
from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.encoders.pixel_propagation import PixelPropagation
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Fraction, Method, View
from counterpoint.objectives import functional as F
from counterpoint.objectives.beclr import attraction
from counterpoint.pairs.cells import matching_cells
from counterpoint.views import augment
from counterpoint.views.located import BOX, Located


class PixPro(Method):
    """Cells ``x = p(f(view))`` of two located crops; keys ``k`` are of a momentum encoder.

    PixPro: cells smoothed by their likeness, ``y = PPM(x)``, agree with the plain keys of the same
    place in the other view; there are no negatives. PixContrast (``pixpro+pixcontrast`` in a
    comparison): a cell finds the keys of its place among those of the image's other view. Order of
    a step: momentum update, cells and keys, loss. The embedding is the mean of the feature map.
    A map should have many cells: ``conv-dense`` makes 8 x 8 of 32 pixels, ``conv-small`` 2 x 2.

    With several processes an encoder whose own pooling has weights, such as a MobileNet, needs
    ``strategy="ddp_spawn_find_unused_parameters_true"``.

    Args:
        objective: ``"pixpro"`` or ``"pixcontrast"``.
        threshold: cells closer than so many diagonals of a cell are a pair.
        gamma: sharpness of the smoothing; of ``"pixpro"`` alone.
        layers: 1x1 convolutions of the smoothing, 0, 1 or 2; of ``"pixpro"`` alone.
        temperature: of ``"pixcontrast"`` alone.
        momentum: of the moving copy at the start; it rises to 1 along a cosine.
        smallest: least area of a crop, the whole image being 1, 0.08 in the paper; None takes what
            suits the data.
        instance: weight of a loss of whole images, as in BYOL, beside that of cells.
        outputs: channels of the embedded cells.
        hidden: channels of the head's hidden layer, 4096 in the paper; None takes the map's.

    Source: Xie et al., Propagate Yourself, CVPR 2021, arXiv 2011.10043; authors' code (the loss is
    twice that of the paper). Both views are augmented alike, not one blurred and one solarised.
    """

    modalities = ("images",)

    def __init__(
        self,
        encoder: Encoder,
        objective: Literal["pixpro", "pixcontrast"] = "pixpro",
        threshold: PositiveFloat = 0.7,
        gamma: PositiveFloat = 2.0,
        layers: Literal[0, 1, 2] = 1,
        temperature: PositiveFloat = 0.3,
        momentum: Fraction = 0.99,
        smallest: Fraction | None = None,
        instance: NonNegativeFloat = 0.0,
        outputs: PositiveInt = 256,
        hidden: PositiveInt | None = None,
    ) -> None:
        super().__init__(encoder)
        channels, height, width = map_shape(encoder)
        if height * width < 2:
            raise SettingError(
                f"The feature map of {encoder.config['name']!r} has a single cell for images of "
                f"{encoder.config['size']} pixels; take larger images, or encoder='conv-dense'."
            )
        if smallest == 0:
            raise SettingError("smallest must be above 0: a crop needs an area.")
        self.heads = nn.ModuleList(
            pixel_projection(channels, outputs, hidden=hidden) for _ in range(2 if instance else 1)
        )
        self.smooth: nn.Module = nn.Identity()
        if objective == "pixpro":
            self.smooth = PixelPropagation(outputs, gamma, layers)
        self.predictor: nn.Module = nn.Identity()
        if instance:
            self.predictor = pixel_projection(outputs, outputs, hidden=hidden)
        self.moving = MomentumCopy(self._network(), momentum, "cosine")
        self.objective, self.threshold, self.temperature = objective, threshold, temperature
        self.smallest, self.instance = smallest, instance

    def _network(self) -> _Cells:
        return _Cells(self.encoder, self.heads)

    def views(self, data: Dataset) -> Sequence[View]:
        changes: dict[str, Any] = {"rotate": 0.0, "shear": 0.0}
        if self.smallest is not None:
            changes["scale"] = (self.smallest, 1.0)
        view = Located(augment(data, **changes))
        return [view, view]

    def before_step(self, progress: float) -> None:
        self.moving.update(self._network(), progress)

    def encode(self, batch: Batch) -> Codes:
        codes: dict[str, Tensor] = {}
        for number, view in enumerate(batch.views, 1):
            (cells, *whole), (keys, *whole_keys) = self._network()(view), self.moving(view)
            codes |= {f"y{number}": self.smooth(cells), f"k{number}": keys}
            if self.instance:
                prediction = self.predictor(whole[0])
                codes |= {f"q{number}": _pooled(prediction), f"t{number}": _pooled(whole_keys[0])}
        return codes

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        first, second = codes["y1"], codes["y2"]
        one, two = (meta[BOX] for meta in batch.meta)
        pairs = matching_cells(one, two, (first.shape[2], first.shape[3]), self.threshold)
        loss = self._loss(first, codes["k2"], pairs) + self._loss(second, codes["k1"], pairs.mT)
        parts = {"loss": loss, "matched": pairs.any(2).float().mean()}
        if self.instance:
            apart = attraction(*(torch.cat([codes[f"{n}1"], codes[f"{n}2"]]) for n in "qt"))
            parts |= {"loss": loss + self.instance * 4 * apart, "instance": 4 * apart}
        return parts

    def _loss(self, cells: Tensor, keys: Tensor, pairs: Tensor) -> Tensor:
        if self.objective == "pixpro":
            return F.pixpro(cells, keys, pairs)
        return F.pixcontrast(cells, keys, pairs, temperature=self.temperature) / 2

    def embed(self, inputs: Inputs) -> Tensor:
        """The mean of the feature map ``(B, C)``."""
        return _pooled(feature_map(self.encoder, inputs))


class _Cells(nn.Module):
    """An encoder's feature map as each of some heads projects it."""

    def __init__(self, encoder: Encoder, heads: nn.ModuleList) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, heads

    def forward(self, inputs: Inputs) -> list[Tensor]:
        cells = feature_map(self.encoder, inputs)
        return [head(cells) for head in self.heads]


def _pooled(cells: Tensor) -> Tensor:
    return cells.mean((2, 3))
