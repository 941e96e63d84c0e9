"""A fixed scattering front end under a small trained network, for small data."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from counterpoint.encoders.image import ImageEncoder
from counterpoint.encoders.scattering import Scattering, scattering_channels
from counterpoint.errors import SettingError, unknown_name

Front = Literal["scattering", "convolution"]

FULL_WIDTH = 128
POOLED = 4
LAYOUTS = {
    "scatsimclr8": ((32, 64, 128), (4, 4)),
    "scatsimclr12": ((256, 128, 64, 128), (4, 4, 4)),
    "scatsimclr16": ((256, 128, 64, 128), (6, 4, 6)),
    "scatsimclr30": ((256, 128), (30,)),
    "scatsimclr45": ((256, 128, 64, 128), (15, 15, 15)),
}
"""Widths of the first convolution and of the stages, and residual blocks of each stage."""

OPTIONS: dict[str, Any] = {
    "width": FULL_WIDTH,
    "scales": 2,
    "angles": 16,
    "working": None,
    "front": "scattering",
}


def scattering_encoder(name: str, *, channels: int, size: int, **options: Any) -> ImageEncoder:
    """ScatNet, which is not trained, then a 3 x 3 convolution and residual blocks without stride.

    The maps are averaged to 4 x 4 and flattened: a representation of ``16 width``. Pixels are
    scattered as they are, in [0, 1]; the coefficients are not normalised before the convolution.

    Args:
        name: one of `LAYOUTS`, by the number of residual blocks.
        channels: image channels, each scattered by itself.
        size: height and width of the images.
        **options: ``width`` of the last stage, a multiple of 16 (the other stages keep their
            proportion to the paper's 128); ``scales`` J and ``angles`` L of the scattering;
            ``working``, the side to which images are brought first, a multiple of ``2^scales`` and
            at least 4 times that (None takes the least one that does not shrink them); ``front``,
            where ``"convolution"`` puts a trained convolution of kernel and stride ``2^scales`` in
            place of the scattering, with as many trained weights in all: the baseline.

    Raises:
        SettingError: an unknown option, or sizes that do not fit.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939, Section 3; the paper resizes with
    Lanczos, here it is bicubic.
    """
    for option in options:
        if option not in OPTIONS:
            raise unknown_name(f"option of encoder {name!r}:", option, OPTIONS)
    chosen = {**OPTIONS, **options}
    width, scales, angles, front = (chosen[key] for key in ("width", "scales", "angles", "front"))
    if front not in get_args(Front):
        raise unknown_name(f"front of encoder {name!r}:", front, get_args(Front))
    if width < 16 or width % 16:
        raise SettingError(f"width of {name!r} must be a multiple of 16, got {width}.")
    chosen["working"] = side = _side(chosen["working"], size, scales)
    first, *widths = (full * width // FULL_WIDTH for full in LAYOUTS[name][0])
    front_end, maps = _front(front, channels, first, side, scales, angles)
    blocks = [
        _Block(before if number == 0 else after, after)
        for (before, after), count in zip(pairwise([first, *widths]), LAYOUTS[name][1], strict=True)
        for number in range(count)
    ]
    return ImageEncoder(
        nn.Sequential(
            _Resize(side),
            front_end,
            nn.Conv2d(maps, first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            *blocks,
            nn.AdaptiveAvgPool2d(POOLED),
            nn.Flatten(),
        ),
        width=width * POOLED**2,
        channels=channels,
        size=size,
        config={"name": name, "modality": "images", "channels": channels, "size": size, **chosen},
        mean=0.0,
        std=1.0,
    )


def _side(asked: int | None, size: int, scales: int) -> int:
    if scales < 1:
        raise SettingError(f"Scattering needs at least 1 scale, got {scales}.")
    step = 2**scales
    side = asked or max(POOLED * step, math.ceil(size / step) * step)
    if side % step or side < POOLED * step:
        raise SettingError(
            f"working must be a multiple of {step} and at least {POOLED * step} for {scales} "
            f"scales, got {side}."
        )
    return side


def _front(
    front: Front, channels: int, first: int, side: int, scales: int, angles: int
) -> tuple[nn.Module, int]:
    """What makes maps of ``side / 2^scales`` from pixels, and how many maps."""
    maps = scattering_channels(scales, angles, channels)
    if front == "scattering":
        return Scattering(side, side, scales, angles), maps
    step = 2**scales
    maps = max(1, round(9 * first * maps / (9 * first + channels * step**2)))
    return nn.Conv2d(channels, maps, step, step, bias=False), maps


class _Resize(nn.Module):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2:] == (self.side, self.side):
            return images
        return interpolate(images, (self.side, self.side), mode="bicubic", antialias=True)


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a skip, which is a 1 x 1 convolution where widths differ."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.skip: nn.Module = nn.Identity()
        if inputs != outputs:
            self.skip = _convolution(inputs, outputs, 1)
        self.body = nn.Sequential(
            _convolution(inputs, outputs, 3), nn.ReLU(), _convolution(outputs, outputs, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )
