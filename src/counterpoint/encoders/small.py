"""Small image encoders that train on two processor cores in a minute or two."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from counterpoint.encoders.image import ImageEncoder
from counterpoint.errors import SettingError, unknown_name


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = _block(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.block(x)
        return out


def _pool() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def _conv_small(channels: int, size: int, width: int = 256) -> nn.Module:
    stages = (channels, width // 8, width // 4, width // 2, width)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(stages):
        layers.append(_block(inputs, outputs, stride=2))
        if outputs == width // 2:
            layers.append(_Residual(outputs))
    return nn.Sequential(*layers, *_pool())


def _conv_tiny(channels: int, size: int, width: int = 128) -> nn.Module:
    return nn.Sequential(
        _block(channels, width // 4),
        _block(width // 4, width // 2, stride=2),
        _block(width // 2, width, stride=2),
        *_pool(),
    )


def _conv_dense(channels: int, size: int, width: int = 128) -> nn.Module:
    return nn.Sequential(
        _block(channels, width // 4, stride=2),
        _block(width // 4, width // 2, stride=2),
        _block(width // 2, width),
        *_pool(),
    )


def _mlp(channels: int, size: int, width: int = 128, hidden: int = 256) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * size * size, hidden),
        nn.ReLU(),
        nn.Linear(hidden, width),
    )


_NETS = {
    "conv-small": (_conv_small, {"width": 256}),
    "conv-tiny": (_conv_tiny, {"width": 128}),
    "conv-dense": (_conv_dense, {"width": 128}),
    "mlp": (_mlp, {"width": 128, "hidden": 256}),
}


def small_encoder(name: str, *, channels: int, size: int, **options: int) -> ImageEncoder:
    """A built-in image encoder.

    Args:
        name: ``"conv-small"`` (four stride-2 stages with batch normalisation, for images of about
            16 to 64 pixels), ``"conv-tiny"`` (three stages, for 8×8), ``"conv-dense"`` (a cell of
            its feature map is 4 pixels wide), ``"mlp"`` (one hidden layer on the pixels, no batch
            normalisation).
        channels: image channels.
        size: height and width of the images; only ``"mlp"`` is bound to it.
        **options: ``width`` of the representation (divisible by 8 for the convolutional ones),
            ``hidden`` units of ``"mlp"``.

    Raises:
        SettingError: unknown option, or a width that does not divide.
    """
    make, defaults = _NETS[name]
    for option in options:
        if option not in defaults:
            raise unknown_name(f"option of encoder {name!r}:", option, defaults)
    values = {**defaults, **options}
    width = values["width"]
    if width < 8 or (name != "mlp" and width % 8):
        raise SettingError(f"width of {name!r} must be a multiple of 8, got {width}.")
    config = {"name": name, "modality": "images", "channels": channels, "size": size, **values}
    return ImageEncoder(
        make(channels, size, **values), width=width, channels=channels, size=size, config=config
    )
