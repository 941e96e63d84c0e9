"""Small pictures of images as text, so that a page can carry them inside itself."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from counterpoint.errors import DataError, require

LARGEST = 64


def thumbnail(image: Any, largest: int = LARGEST) -> str:
    """A data URI of an image, see `encoded`."""
    kind, content = encoded(image, largest)
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def encoded(image: Any, largest: int = LARGEST) -> tuple[str, bytes]:
    """MIME type and file of an image whose sides are shrunk to ``largest``; never enlarged.

    Small images stay exact (PNG); photographs that had to shrink are JPEG.

    Args:
        image: uint8 ``(C, H, W)`` with C 1 or 3, numpy or torch.
        largest: longest side in pixels.

    Raises:
        DataError: another shape or type.
        MissingExtraError: Pillow is not installed.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise DataError(
            "An image must be uint8 (C, H, W) with 1 or 3 channels; "
            f"got {pixels.dtype} {pixels.shape}."
        )
    grey = pixels.shape[0] == 1
    picture = require("PIL.Image", "image").fromarray(
        np.ascontiguousarray(pixels[0] if grey else pixels.transpose(1, 2, 0))
    )
    shrink = max(picture.size) > largest
    if shrink:
        picture.thumbnail((largest, largest))
    form = "JPEG" if shrink and not grey else "PNG"
    held = io.BytesIO()
    picture.save(held, form, **({"quality": 85} if form == "JPEG" else {"optimize": True}))
    return f"image/{form.lower()}", held.getvalue()
