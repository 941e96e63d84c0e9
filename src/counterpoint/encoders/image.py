"""The part that all image encoders share: collation and standardisation of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.data.batch import Inputs
from counterpoint.encoders.base import Encoder
from counterpoint.errors import DataError


class ImageEncoder(Encoder):
    """A network behind pixel standardisation ``(x - mean) / std``.

    Args:
        net: maps ``(B, channels, H, W)`` to ``(B, width)``.
        width: length of a representation.
        channels: image channels.
        size: height and width of the images.
        config: what `counterpoint.encoders.build` needs to make this encoder again.
        mean: one mean for all channels, or one each.
        std: likewise.
    """

    modality = "images"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        *,
        width: int,
        channels: int,
        size: int,
        config: dict[str, Any],
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.25,
    ) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.width, self.channels, self.size, self.config = width, channels, size, config
        self.register_buffer("mean", torch.as_tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.as_tensor(std).reshape(-1, 1, 1), persistent=False)

    def prepare(self, items: Sequence[Any] | Tensor) -> Inputs:
        images = items if isinstance(items, Tensor) else torch.stack(list(items))
        if not images.is_floating_point():
            raise DataError(
                f"Image items must be floats in [0, 1], got {images.dtype}; divide by 255 first."
            )
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise DataError(
                f"This encoder takes images ({self.channels}, H, W), "
                f"got a batch of shape {tuple(images.shape)}."
            )
        return images

    def forward(self, inputs: Inputs) -> Tensor:
        if not isinstance(inputs, Tensor):
            raise DataError("An image encoder takes a tensor (B, C, H, W), got named tensors.")
        representation: Tensor = self.net(self.standardised(inputs))
        return representation

    def standardised(self, images: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` in [0, 1] as the network takes them."""
        scaled = (images - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)
