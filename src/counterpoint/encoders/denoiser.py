"""A small network that tells the noise in an image, and what it makes of an image on the way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.errors import DataError, require

LEVELS = 1000
"""Noise levels 0 .. 999, from almost none to nothing else."""

LOOK = 50
"""The noise level that an image is taken to have where its features are wanted."""

_GROUPS = 8
_NARROWEST = 4


def denoiser(channels: int, size: int, width: int) -> nn.Module:
    """The U-Net of diffusers, made for images of a size: one block a halving, down to 4 pixels.

    Args:
        channels: of the images.
        size: height and width of the images; the halvings end at an odd size.
        width: channels at full size, a multiple of 8; twice as many below.

    Returns:
        Called with images in [-1, 1] ``(B, C, H, W)`` and levels ``(B,)``; ``.sample`` of what it
        returns is the noise.

    Raises:
        MissingExtraError: diffusers is not installed.

    Source: Ho et al. 2020, Denoising Diffusion Probabilistic Models, arXiv 2006.11239.
    """
    halvings = 0
    while size >> halvings > _NARROWEST and not (size >> halvings) % 2:
        halvings += 1
    blocks = halvings + 1
    unet: nn.Module = require("diffusers", "diffusion").UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=(width,) + (2 * width,) * halvings,
        down_block_types=("DownBlock2D",) * blocks,
        up_block_types=("UpBlock2D",) * blocks,
        norm_num_groups=_GROUPS,
        add_attention=False,
    )
    return unet


def denoiser_tokens(unet: nn.Module, images: Tensor) -> Tensor:
    """Features of a U-Net's narrowest block, one row a cell.

    Args:
        unet: see `denoiser`; any ``UNet2DModel``.
        images: in [0, 1] ``(B, C, H, W)``.

    Returns:
        ``(B, T, D)``, of ``T`` cells row by row.

    Source: Xiang et al. 2023, Denoising Diffusion Autoencoders are Unified Self-supervised
    Learners, arXiv 2303.09769; without noise on the images.
    """

    def stop(module: nn.Module, inputs: Any, output: Tensor) -> None:
        raise _Reached(output)

    handle = unet.get_submodule("mid_block").register_forward_hook(stop)
    try:
        unet(images * 2 - 1, torch.full((len(images),), LOOK, device=images.device))
    except _Reached as reached:
        return reached.features.flatten(2).transpose(1, 2)
    finally:
        handle.remove()
    raise DataError("The U-Net left out its mid_block, so that it has no features to give.")


class _Reached(Exception):  # noqa: N818  (no error)
    """Ends a forward pass where its features are known; the way back up costs more than half."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features
