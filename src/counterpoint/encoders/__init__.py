"""Encoders by name: small built-in ones, timm for images, transformers for text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterpoint.encoders.base import Encoder
from counterpoint.errors import SettingError, unknown_name

__all__ = ["Encoder", "build", "default", "names"]

_SMALL = ("conv-small", "conv-tiny", "conv-dense", "mlp")
_SCATTERING = ("scatsimclr8", "scatsimclr12", "scatsimclr16", "scatsimclr30", "scatsimclr45")
_TINY_PIXELS = 12
_SMALL_PIXELS = 64


def names(modality: str) -> list[str]:
    """Names that `build` knows without a download.

    Args:
        modality: ``"images"`` (the small built-in encoders, those on wavelet scattering and, if
            timm is installed, its architectures) or ``"text"`` (the packaged sentence encoder; any
            transformers or sentence-transformers name or folder works as well).
    """
    if modality == "text":
        return ["minilm"]
    if modality == "images":
        from counterpoint.encoders.from_timm import timm_names

        return [*_SMALL, *_SCATTERING, *timm_names()]
    raise unknown_name("modality", modality, ("images", "text"))


def default(modality: str, size: int = 0) -> str:
    """The encoder that a data set gets when none is asked for.

    Args:
        modality: ``"images"`` or ``"text"``.
        size: height and width of the images in pixels.
    """
    if modality == "text":
        return "minilm"
    if size <= _TINY_PIXELS:
        return "conv-tiny"
    return "conv-small" if size <= _SMALL_PIXELS else "resnet18"


def build(
    name: str | None, *, modality: str, channels: int = 0, size: int = 0, **options: Any
) -> Encoder:
    """Makes an encoder.

    Args:
        name: one of `names`, for text also a transformers or sentence-transformers name or a
            local folder; None for the `default` of this kind of data.
        modality: ``"images"`` or ``"text"``.
        channels: image channels; not used for text.
        size: height and width of the images in pixels; not used for text.
        **options: options of that encoder, such as ``width`` of ``"conv-small"``, ``pretrained``
            of a timm encoder (True, or a file of weights) or ``layers`` of a text encoder.

    Raises:
        SettingError: unknown name or option, or sizes that the encoder cannot take.
        MissingExtraError: the library behind the name is not installed.
    """
    name = name or default(modality, size)
    if modality == "text":
        from counterpoint.encoders.text import text_encoder

        return text_encoder(name, **options)
    if modality != "images":
        raise unknown_name("modality", modality, ("images", "text"))
    if channels < 1 or size < 1:
        raise SettingError(
            f"An image encoder needs channels and size of at least 1, got {channels} and {size}."
        )
    if name in _SMALL:
        from counterpoint.encoders.small import small_encoder

        return small_encoder(name, channels=channels, size=size, **options)
    if name in _SCATTERING:
        from counterpoint.encoders.scattering_adapter import scattering_encoder

        return scattering_encoder(name, channels=channels, size=size, **options)
    from counterpoint.encoders.from_timm import is_timm, timm_encoder

    if not is_timm(name):
        looks_like_path = Path(name).exists()
        hint = " (for images a name is needed, not a path)" if looks_like_path else ""
        raise unknown_name(f"image encoder{hint}", name, names("images"))
    return timm_encoder(name, channels=channels, size=size, **options)
