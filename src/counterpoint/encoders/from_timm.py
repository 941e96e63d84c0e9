"""Image encoders from timm."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from counterpoint.encoders.image import ImageEncoder
from counterpoint.errors import SettingError, require

_SMALL_PIXELS = 64


def timm_names() -> list[str]:
    """Every architecture of the installed timm; empty where timm is not installed."""
    if find_spec("timm") is None:
        return []
    names: list[str] = require("timm", "image").list_models()
    return names


def is_timm(name: str) -> bool:
    """Whether timm has an architecture (or architecture.tag) of that name."""
    timm = require("timm", "image")
    return bool(timm.is_model(name.removeprefix("timm/").split(".")[0]))


def timm_encoder(
    name: str,
    *,
    channels: int,
    size: int,
    pretrained: bool | str = False,
    small_stem: bool | None = None,
    **options: Any,
) -> ImageEncoder:
    """An image encoder from timm, without its classifier.

    Args:
        name: a timm name such as ``"resnet18"`` or ``"vit_tiny_patch16_224"``.
        channels: image channels.
        size: height and width of the images.
        pretrained: True for timm's own weights (downloaded by timm), or a local file of weights
            (``.safetensors`` or ``.pth``), whose classifier is left out.
        small_stem: replaces the 7×7 stride-2 convolution and pooling of a ResNet by one 3×3
            convolution; None does so for images up to 64 pixels without ``pretrained`` weights.
        **options: further arguments of ``timm.create_model``.

    Raises:
        SettingError: timm cannot make this network with these arguments, or it cannot take images
            of this size, or the weights do not fit.
    """
    timm = require("timm", "image")
    architecture = name.removeprefix("timm/")
    arguments = {"num_classes": 0, "in_chans": channels, **options}
    try:
        try:
            net = timm.create_model(
                architecture, pretrained=pretrained is True, img_size=size, **arguments
            )
        except TypeError:
            net = timm.create_model(architecture, pretrained=pretrained is True, **arguments)
    except (TypeError, RuntimeError, AssertionError, ValueError) as error:
        raise SettingError(
            f"timm cannot make {name!r} for {channels}×{size}×{size} images with {options}: {error}"
        ) from error
    if small_stem is None:
        small_stem = size <= _SMALL_PIXELS and not pretrained and _has_large_stem(net)
    if small_stem:
        _shrink_stem(net, name, channels)
    if isinstance(pretrained, str):
        _load_weights(net, Path(pretrained))
    if size <= _SMALL_PIXELS:
        _check_takes(net, name, channels, size)
    standard = net.default_cfg
    mean, std = standard.get("mean", 0.5), standard.get("std", 0.25)
    if channels != 3:
        mean, std = sum(mean) / len(mean), sum(std) / len(std)
    return ImageEncoder(
        net,
        width=int(getattr(net, "head_hidden_size", None) or net.num_features),
        channels=channels,
        size=size,
        config={
            "name": name,
            "modality": "images",
            "channels": channels,
            "size": size,
            "small_stem": small_stem,
            **options,
        },
        mean=mean,
        std=std,
    )


def _has_large_stem(net: Any) -> bool:
    return isinstance(getattr(net, "conv1", None), nn.Conv2d) and hasattr(net, "maxpool")


def _shrink_stem(net: Any, name: str, channels: int) -> None:
    if not _has_large_stem(net):
        raise SettingError(f"small_stem is for ResNets with one first convolution, not {name!r}.")
    net.conv1 = nn.Conv2d(channels, net.conv1.out_channels, 3, 1, 1, bias=False)
    net.maxpool = nn.Identity()


def _check_takes(net: nn.Module, name: str, channels: int, size: int) -> None:
    """Refuses images that are smaller than the patches or windows of the network."""
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, channels, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise SettingError(
            f"{name!r} cannot take images of {size}×{size} pixels ({error}). Enlarge them with "
            f"size=, or choose a network of smaller patches."
        ) from error
    net.train()


def _load_weights(net: Any, path: Path) -> None:
    models = require("timm.models", "image")
    if not path.is_file():
        raise SettingError(f"No file of weights at {path}.")
    state = models.load_state_dict(str(path), weights_only=True)
    missing, unexpected = net.load_state_dict(state, strict=False)
    classifier = net.default_cfg.get("classifier", "fc")
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    strange = [key for key in unexpected if not key.startswith(heads)]
    if missing or strange:
        raise SettingError(
            f"The weights in {path} do not fit: missing {missing[:3]}, not known {strange[:3]}."
        )
