"""Random and plain views of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.data.dataset import Dataset
from counterpoint.errors import DataError, unknown_name
from counterpoint.views.base import ImageView
from counterpoint.views.blur import blur
from counterpoint.views.colour import jitter
from counterpoint.views.randomness import between, normal, uniform
from counterpoint.views.stroke import restroke
from counterpoint.views.warp import paper, warp, warp_matrices

Strength = Literal["weak", "standard", "strong"]

_WARP, _STROKE, _COLOUR, _BLUR, _NOISE, _PIXELS = range(6)


@dataclass(frozen=True)
class Plain(ImageView):
    """The image itself, uint8 made float in [0, 1]."""

    def batch(self, items: Tensor, seeds: Tensor) -> Tensor:
        return items.float() / 255


@dataclass(frozen=True)
class Augment(ImageView):
    """One random resampling, then strokes, colours, blur and noise, for a whole batch at once.

    Attributes:
        scale: range of the crop's area; above 1 the picture shrinks.
        ratio: range of the crop's width / height.
        shift: how far the crop may leave the image, in image widths.
        on_background: whether a colour that the outline suggests lies outside the image; else its
            border is repeated there.
        mirror: probability of a left-right flip.
        rotate: largest rotation, in degrees.
        shear: largest horizontal shear, as a slope.
        threshold, gain: of `counterpoint.views.stroke.restroke`; a gain of 1 leaves strokes alone.
        brightness, contrast, saturation, hue: amounts of `counterpoint.views.colour.jitter`.
        jittered: probability that colours are changed.
        grey: probability that colours are dropped.
        blurred: probability of a Gaussian blur.
        sigma: range of its width, in pixels.
        noise: largest standard deviation of Gaussian noise; each view draws its own below it.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    ratio: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    on_background: bool = False
    mirror: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    threshold: float = 0.0
    gain: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jittered: float = 0.0
    grey: float = 0.0
    blurred: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)
    noise: float = 0.0

    def batch(self, items: Tensor, seeds: Tensor) -> Tensor:
        images = warp(items.float() / 255, self.matrices(seeds), self.on_background)
        if self.gain > 1:
            unit = uniform(seeds, _STROKE, 3)
            images = restroke(images, unit, self.threshold, self.gain)
        if self.jittered or self.grey:
            images = self._coloured(images, seeds)
        if self.blurred:
            images = self._softened(images, seeds)
        if self.noise:
            images = self._noisy(images, seeds)
        return images

    def matrices(self, seeds: Tensor) -> Tensor:
        """Where each seed's view lies in its image, ``(B, 2, 3)``, see `warp_matrices`."""
        return warp_matrices(
            uniform(seeds, _WARP, 7),
            scale=self.scale,
            ratio=self.ratio,
            shift=self.shift,
            mirror=self.mirror,
            rotate=self.rotate,
            shear=self.shear,
        )

    def _coloured(self, images: Tensor, seeds: Tensor) -> Tensor:
        return jitter(
            images,
            uniform(seeds, _COLOUR, 6),
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            hue=self.hue,
            jittered=self.jittered,
            grey=self.grey,
        )

    def _softened(self, images: Tensor, seeds: Tensor) -> Tensor:
        acts, width = uniform(seeds, _BLUR, 2).unbind(1)
        rows = (acts < self.blurred).nonzero()[:, 0]
        if not len(rows):
            return images
        sigma = between(width[rows], *self.sigma)
        return images.index_copy(0, rows, blur(images[rows], sigma, self.sigma[1]))

    def _noisy(self, images: Tensor, seeds: Tensor) -> Tensor:
        spread = self.noise * uniform(seeds, _NOISE, 1)
        grain = normal(seeds, _PIXELS, images[0].numel())
        return (images + (spread * grain).view_as(images)).clamp_(0, 1)


_FACTORS: dict[Strength, float] = {"weak": 0.5, "standard": 1.0, "strong": 2.0}


def augment(data: Dataset, *, strength: Strength = "standard", **changes: object) -> Augment:
    """The random view that suits a data set.

    Photographs get the recipe of SimCLR: crops of a fifth of the area and more, flips where the
    data allow them, colour jitter, greyscale, and blur from 48 pixels on. Characters and drawings
    (one channel, most of it paper) keep their reading: small changes of size, proportion, slope,
    angle and brightness, with thicker or thinner strokes from 16 pixels on, contrast and noise
    below.

    Args:
        data: the images; what they look like, their size and ``mirror`` decide.
        strength: how far views depart from the image.
        **changes: fields of `Augment` to set otherwise.

    Raises:
        DataError: the data are not images.
        SettingError: an unknown strength or field.
    """
    if data.modality != "images":
        raise DataError(f"{data.name} holds {data.modality}; augment is for images.")
    if strength not in get_args(Strength):
        raise unknown_name("strength", strength, get_args(Strength))
    fields = Augment.__dataclass_fields__
    for name in changes:
        if name not in fields:
            raise unknown_name("setting of augment", name, fields)
    factor = _FACTORS[strength]
    view = _characters(data, factor) if _drawn(data) else _photographs(data, factor)
    return replace(view, **changes)  # type: ignore[arg-type]


def plain(data: Dataset) -> Plain:
    """The deterministic view that embedding uses: uint8 to float in [0, 1]."""
    if data.modality != "images":
        raise DataError(f"{data.name} holds {data.modality}; plain is for images.")
    return Plain()


def _photographs(data: Dataset, factor: float) -> Augment:
    return Augment(
        scale=(max(0.08, 1 - 0.8 * factor), 1.0),
        ratio=(3 / 4, 4 / 3),
        mirror=0.5 if data.mirror else 0.0,
        brightness=min(0.4 * factor, 0.8),
        contrast=min(0.4 * factor, 0.8),
        saturation=min(0.4 * factor, 0.8),
        hue=0.1 * factor,
        jittered=0.8,
        grey=0.2,
        blurred=0.5 if data.size >= 48 else 0.0,
        sigma=(0.1, 2.0 * data.size / 224 if data.size >= 48 else 2.0),
    )


def _characters(data: Dataset, factor: float) -> Augment:
    light = min(0.4 * factor, 0.8)
    view = Augment(
        scale=(1 - 0.2 * factor, 1 + 0.25 * factor),
        ratio=(1 - 0.2 * factor, 1 / (1 - 0.2 * factor)),
        on_background=True,
        mirror=0.5 if data.mirror else 0.0,
        rotate=10 * factor,
        shear=0.2 * factor,
        brightness=light,
        jittered=0.8,
    )
    if data.size < 16:
        return replace(view, contrast=light, noise=0.06 * factor)
    return replace(view, threshold=min(0.45 * factor, 0.6), gain=1 + 1.5 * factor)


def _drawn(data: Dataset) -> bool:
    """Whether the images are drawings: in most, two fifths of the pixels and more are paper."""
    if data.channels != 1:
        return False
    some = torch.linspace(0, len(data.train) - 1, min(64, len(data.train))).long()
    images = data.train.gather(some).float() / 255
    bare = ((images - paper(images)).abs() < 0.1).float().mean((1, 2, 3))
    return bool(bare.median() >= 0.4)
