"""The feature map of an image encoder, before it is pooled into a representation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.data.batch import Inputs
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.image import ImageEncoder
from counterpoint.errors import SettingError


def feature_map(encoder: Encoder, inputs: Inputs) -> Tensor:
    """The last feature map, ``(B, C, H, W)``; of a vision transformer, its patches.

    Args:
        encoder: a convolutional built-in encoder, or one from timm.
        inputs: prepared images ``(B, channels, height, width)``.

    Raises:
        SettingError: the encoder has no feature map.
    """
    if not isinstance(encoder, ImageEncoder) or not isinstance(inputs, Tensor):
        raise SettingError(f"Feature maps are of images; this encoder takes {encoder.modality}.")
    net: Any = encoder.net
    images = encoder.standardised(inputs)
    if isinstance(net, nn.Sequential) and isinstance(net[-2], nn.AdaptiveAvgPool2d):
        found: Tensor = net[:-2](images)
        return found
    if hasattr(net, "forward_intermediates"):
        last = net.forward_intermediates(
            images, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )[0]
        return torch.as_tensor(last)
    raise SettingError(
        f"Encoder {encoder.config['name']!r} has no feature map; take conv-dense, conv-small or a "
        "timm backbone."
    )


@torch.no_grad()
def map_shape(encoder: Encoder) -> tuple[int, int, int]:
    """Channels, height and width of an encoder's feature map, for images of its size.

    Raises:
        SettingError: the encoder has no feature map.
    """
    if not isinstance(encoder, ImageEncoder):
        raise SettingError(f"Feature maps are of images; this encoder takes {encoder.modality}.")
    was_training = encoder.training
    encoder.eval()
    try:
        blank = torch.zeros(1, encoder.channels, encoder.size, encoder.size)
        found = feature_map(encoder, blank.to(encoder.mean.device))
    finally:
        encoder.train(was_training)
    channels, height, width = found.shape[1:]
    return channels, height, width
