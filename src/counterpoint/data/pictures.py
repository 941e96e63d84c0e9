"""Reads picture files of any kind into uint8 images of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import DataError, require

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"})


Encoded = Path | bytes
"""A picture file, or the content of one."""


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself before its pixels are read.

    Attributes:
        width, height: in pixels.
        grey: whether it holds no colour.
    """

    width: int
    height: int
    grey: bool


def readable(file: Path) -> bool:
    """Whether Pillow reads files of this name's ending."""
    image = require("PIL.Image", "image")
    return image.registered_extensions().get(file.suffix.lower()) in image.OPEN


def stored_picture(value: Any, folder: Path) -> Encoded | None:
    """What a table holds of a picture: its bytes, or a file relative to ``folder``; None if none.

    A value may be both in one, ``{"bytes": ..., "path": ...}``.
    """
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if not value:
        return None
    return value if isinstance(value, bytes) else folder / str(value)


def read_header(source: Encoded) -> Header:
    """Reads size and kind of a picture.

    Raises:
        DataError: the file is no picture, or its beginning is damaged.
    """
    try:
        with _opened(source) as picture:
            grey = picture.mode in GREY_MODES or (picture.mode == "P" and _grey_palette(picture))
            return Header(picture.width, picture.height, grey)
    except Exception as error:  # decoders raise whatever a damaged file makes them raise
        raise _unreadable(source, error) from error


def read_picture(source: Encoded, size: int, channels: int) -> Tensor:
    """Decodes a picture: upright, its short side scaled to ``size``, the middle square kept.

    Transparent pixels are laid on white; 16 bits are scaled to 8; of an animation the first frame
    is taken.

    Args:
        source: any format Pillow reads.
        size: height and width of the result.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 ``(channels, size, size)``.

    Raises:
        DataError: the file cannot be decoded.
    """
    try:
        with _opened(source) as picture:
            picture.draft(None, (2 * size, 2 * size))
            upright = require("PIL.ImageOps", "image").exif_transpose(picture)
            return to_tensor(upright, size, channels)
    except Exception as error:
        raise _unreadable(source, error) from error


def read_whole_picture(source: Encoded, largest: int) -> Tensor:
    """Decodes a picture: upright, uncut, shrunk so that no side is longer than ``largest``.

    Returns:
        uint8 RGB ``(3, H, W)``.

    Raises:
        DataError: the file cannot be decoded.
    """
    try:
        with _opened(source) as picture:
            picture.draft(None, (2 * largest, 2 * largest))
            upright = require("PIL.ImageOps", "image").exif_transpose(picture)
            plain = _eight_bits(upright).convert("RGB")
            plain.thumbnail((largest, largest))
            return torch.from_numpy(np.array(plain)).permute(2, 0, 1).contiguous()
    except Exception as error:
        raise _unreadable(source, error) from error


def to_tensor(picture: Any, size: int, channels: int) -> Tensor:
    """A Pillow picture as uint8 ``(channels, size, size)``, see `read_picture`."""
    ops = require("PIL.ImageOps", "image")
    image = require("PIL.Image", "image")
    plain = _eight_bits(picture).convert("L" if channels == 1 else "RGB")
    square = ops.fit(plain, (size, size), method=image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(square))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


class PictureFiles(Sequence[Tensor]):
    """Picture files, each decoded when it is asked for.

    Args:
        files: where they are.
        size, channels: as of `read_picture`.
    """

    def __init__(self, files: Sequence[Encoded], size: int, channels: int) -> None:
        self._files, self._size, self._channels = files, size, channels

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return PictureFiles(self._files[i], self._size, self._channels)
        return read_picture(self._files[i], self._size, self._channels)


def _eight_bits(picture: Any) -> Any:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _scaled(picture)
    transparent = "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBa")
    if transparent or picture.mode == "RGBA":
        paper = require("PIL.Image", "image").new("RGBA", picture.size, "white")
        paper.alpha_composite(picture.convert("RGBA"))
        return paper
    return picture


def _scaled(picture: Any) -> Any:
    """Wide integers as if of 16 bits, floats as shares of 1 or of 255."""
    values = np.asarray(picture, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite values")
    largest = float(values.max())
    full = (1.0 if largest <= 1 else 255.0) if picture.mode == "F" else 65535.0
    if values.min() < 0 or largest > full:
        raise ValueError(
            f"its values run from {values.min():g} to {largest:g}, beyond 0 to {full:g}"
        )
    return require("PIL.Image", "image").fromarray(np.rint(values * (255 / full)).astype(np.uint8))


def _grey_palette(picture: Any) -> bool:
    colours = np.asarray(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _opened(source: Encoded) -> Any:
    return require("PIL.Image", "image").open(
        BytesIO(source) if isinstance(source, bytes) else source
    )


def _unreadable(source: Encoded, error: Exception) -> DataError:
    if isinstance(source, bytes):
        return DataError(f"it cannot be read as an image: {type(error).__name__}: {error}")
    said = str(error).replace(f" {str(source)!r}", "").strip() or type(error).__name__
    return DataError(f"{source} cannot be read as an image: {said}. Repair or remove it.")
