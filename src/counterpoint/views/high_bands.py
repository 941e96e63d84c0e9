"""Haar bands of an image, and copies of it a little sharper or softer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.errors import DataError, SettingError


def haar_bands(images: Tensor) -> Tensor:
    """High-frequency bands of the one-level orthonormal Haar transform, at half size.

    Of a block ``a b / c d``: ``LH = (a + b - c - d) / 2``, ``HL = (a - b + c - d) / 2``,
    ``HH = (a - b - c + d) / 2``. Odd sides are reflected by one pixel first.

    Args:
        images: ``(B, C, H, W)``, both sides at least 2.

    Returns:
        ``(B, 3 C, ceil(H / 2), ceil(W / 2))``: LH of all channels, then HL, then HH.

    Raises:
        DataError: another shape.

    Source: Wu et al., "PCL-SR", IEEE TNNLS 2023, arXiv 2111.13924.
    """
    if images.dim() != 4 or min(images.shape[2:]) < 2:
        raise DataError(f"images must be (B, C, H >= 2, W >= 2), got {tuple(images.shape)}.")
    height, width = images.shape[2:]
    if height % 2 or width % 2:
        images = F.pad(images, (0, width % 2, 0, height % 2), mode="reflect")
    a, b = images[..., ::2, ::2], images[..., ::2, 1::2]
    c, d = images[..., 1::2, ::2], images[..., 1::2, 1::2]
    return torch.cat([a + b - c - d, a - b + c - d, a - b - c + d], 1) / 2


def sharpen(images: Tensor, factor: Tensor) -> Tensor:
    """``smooth + a (y - smooth)``, smooth by the kernel ``[1 1 1; 1 5 1; 1 1 1] / 13``.

    a = 1 is the image itself, a < 1 smooths. The frame of one pixel stays, smooth and result are
    clamped to [0, 1] (clamping may leave flat images as they were).

    Args:
        images: y in [0, 1], ``(B, C, H, W)``.
        factor: a >= 0 of each image ``(B,)``; uniform in [0.5, 3) for positives.

    Raises:
        DataError: shapes that do not fit.
        SettingError: a factor below 0.

    Source: Wu et al., "PCL-SR", IEEE TNNLS 2023, arXiv 2111.13924; the sharpness operator of PIL.
    """
    if images.dim() != 4 or factor.shape != images.shape[:1]:
        raise DataError(
            f"images must be (B, C, H, W) with a factor each; got {tuple(images.shape)} and "
            f"{tuple(factor.shape)}."
        )
    if bool((factor < 0).any()):
        raise SettingError("Factors must be at least 0.")
    smooth = images.clone()
    if min(images.shape[2:]) > 2:
        kernel = images.new_ones(3, 3)
        kernel[1, 1] = 5
        planes = images.flatten(0, 1)[:, None]
        inner = F.conv2d(planes, kernel[None, None] / 13).clamp(0, 1)
        smooth[..., 1:-1, 1:-1] = inner.reshape(*images.shape[:2], *inner.shape[2:])
    return (smooth + factor[:, None, None, None] * (images - smooth)).clamp(0, 1)


def soften(images: Tensor, sigma: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """Anisotropic Gaussian blur with one kernel for the batch, borders reflected.

    Args:
        images: ``(B, C, H, W)``.
        sigma: along height and width, above 0; uniform in [0.1, 2) for negatives.
        size: odd kernel sizes along height and width, from 3, 5, 7, 9, 11; at most twice a side.

    Raises:
        DataError: images too small for the kernel.
        SettingError: a width or size out of range.

    Source: Wu et al., "PCL-SR", IEEE TNNLS 2023, arXiv 2111.13924.
    """
    if min(sigma) <= 0 or any(s < 1 or s % 2 == 0 for s in size):
        raise SettingError(f"sigma must be above 0 and sizes odd, got {sigma}, {size}.")
    if images.dim() != 4 or any(s // 2 >= n for s, n in zip(size, images.shape[2:], strict=True)):
        raise DataError(f"Images {tuple(images.shape)} are too small for a kernel {size}.")
    planes = images.flatten(0, 1)[:, None]
    padding = (size[1] // 2, size[1] // 2, size[0] // 2, size[0] // 2)
    padded = F.pad(planes, padding, mode="reflect")
    columns, rows = (_gaussian(s, n, images) for s, n in zip(sigma, size, strict=True))
    blurred = F.conv2d(F.conv2d(padded, columns[None, None, :, None]), rows[None, None, None])
    return blurred.reshape(images.shape)


def _gaussian(sigma: float, size: int, like: Tensor) -> Tensor:
    taps = torch.arange(size, device=like.device, dtype=like.dtype) - size // 2
    kernel = (-0.5 * (taps / sigma) ** 2).exp()
    return kernel / kernel.sum()


def quantise(images: Tensor) -> Tensor:
    """Nearest of 256 levels in [0, 1], as an image file would hold.

    Source: Wu et al., "PCL-SR", IEEE TNNLS 2023, arXiv 2111.13924.
    """
    return (images.clamp(0, 1) * 255).round() / 255
