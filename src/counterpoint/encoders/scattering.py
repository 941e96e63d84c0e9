"""Wavelet scattering: fixed image features that are stable to small deformations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from counterpoint.errors import DataError, SettingError

PI = 3.1415
"""As rounded in kymatio's norm of the filters."""


def scattering_channels(scales: int, angles: int, channels: int = 1) -> int:
    """``c (1 + L J + L^2 J (J - 1) / 2)``: how many maps `Scattering` gives.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939; Bruna and Mallat 2013.
    """
    return channels * (1 + angles * scales + angles**2 * scales * (scales - 1) // 2)


class Scattering(nn.Module):
    """Moduli of Morlet wavelets, averaged: orders 0, 1 and 2, sub-sampled by ``2^scales``.

    ``u * phi``, ``|u * psi_j| * phi`` and ``||u * psi_j| * psi_k| * phi`` for k > j, by scale and
    then angle in each order. No parameters; the gradient reaches the input. Equal to kymatio's
    Scattering2D with reflection padding.

    Args:
        height: of the images, a multiple of ``2^scales``.
        width: of the images, likewise.
        scales: J, at least 1.
        angles: L, at least 1.

    Raises:
        SettingError: a size that does not fit.

    Source: Bruna and Mallat, Invariant Scattering Convolution Networks, 2013; as used by Kinakh et
    al. 2021, ScatSimCLR, arXiv 2108.13939.
    """

    phi: Tensor
    psi: Tensor

    def __init__(self, height: int, width: int, scales: int = 2, angles: int = 16) -> None:
        super().__init__()
        step = 2**scales
        if (
            scales < 1
            or angles < 1
            or height % step
            or width % step
            or min(height, width) < 2 * step
        ):
            raise SettingError(
                f"Scattering with {scales} scales needs sides that are multiples of {step} (two or "
                f"more) and at least one angle; got {height} x {width}, {angles}."
            )
        self.height, self.width, self.scales, self.angles = height, width, scales, angles
        sides = [(side // step + 2) * step for side in (height, width)]
        self.margins = [
            (padded - side) // 2 for padded, side in zip(sides, (height, width), strict=True)
        ]
        self.padded = sides
        phi = _gabor(sides, 0.8 * 2 ** (scales - 1), 0.0, 0.0, 1.0)
        psi = [
            _morlet(sides, j, (int(angles - angles / 2 - 1) - t) * math.pi / angles, 4 / angles)
            for j in range(scales)
            for t in range(angles)
        ]
        dtype = torch.get_default_dtype()
        self.register_buffer("phi", torch.fft.fft2(phi).real.to(dtype), persistent=False)
        self.register_buffer(
            "psi", torch.fft.fft2(torch.stack(psi)).real.to(dtype), persistent=False
        )

    def forward(self, images: Tensor) -> Tensor:
        """Maps ``(N, c F, height / 2^J, width / 2^J)`` of images ``(N, c, height, width)``.

        Raises:
            DataError: images of another size.
        """
        if images.dim() != 4 or images.shape[2:] != (self.height, self.width):
            raise DataError(
                f"Images must be (N, c, {self.height}, {self.width}), not {tuple(images.shape)}."
            )
        (top, left), (height, width) = self.margins, self.padded
        bottom, right = height - self.height - top, width - self.width - left
        spectrum = torch.fft.fft2(pad(images, (left, right, top, bottom), mode="reflect"))
        zeroth, first, second = self._average(spectrum, 0)[:, :, None], [], []
        for j in range(self.scales):
            wavelets = [self._wavelets(k, j) for k in range(j + 1, self.scales)]
            once = self._moduli(spectrum, self._wavelets(j, 0), 2**j)
            first.append(self._average(once, j))
            for t in range(self.angles):
                for k, wavelet in enumerate(wavelets, j + 1):
                    twice = self._moduli(once[:, :, t], wavelet, 2 ** (k - j))
                    second.append(self._average(twice, k))
        return torch.cat([zeroth, *first, *second], 2).flatten(1, 2)

    def _wavelets(self, scale: int, resolution: int) -> Tensor:
        """All angles of a scale, ``(L, h, w)``, for images sub-sampled by ``2^resolution``."""
        own = self.psi[scale * self.angles : (scale + 1) * self.angles]
        return _at_resolution(own, 2**resolution)

    def _moduli(self, spectrum: Tensor, wavelets: Tensor, factor: int) -> Tensor:
        """Spectra of ``|u * psi|`` ``(N, c, L, h, w)``, sub-sampled by ``factor``."""
        folded = _folded(spectrum[:, :, None] * wavelets, factor)
        spectra: Tensor = torch.fft.fft2(torch.fft.ifft2(folded).abs())
        return spectra

    def _average(self, spectrum: Tensor, resolution: int) -> Tensor:
        window = _at_resolution(self.phi, 2**resolution)
        folded = _folded(spectrum * window, 2 ** (self.scales - resolution))
        averaged: Tensor = torch.fft.ifft2(folded).real
        inner: Tensor = averaged[..., 1:-1, 1:-1]
        return inner


def _gabor(sides: list[int], sigma: float, theta: float, xi: float, slant: float) -> Tensor:
    """Gaussian times a wave, repeated with the period of the image, complex ``(H, W)``."""
    cos, sin = math.cos(theta), math.sin(theta)
    rows, columns = (torch.arange(-2 * side, 3 * side, dtype=torch.float64) for side in sides)
    along = cos * rows[:, None] + sin * columns
    across = -sin * rows[:, None] + cos * columns
    decay = -(along**2 + slant**2 * across**2) / (2 * sigma**2)
    wave = torch.complex(decay, xi * along).exp()
    summed = wave.view(5, sides[0], 5, sides[1]).sum((0, 2))
    return summed * slant / (2 * PI * sigma**2)


def _morlet(sides: list[int], scale: int, theta: float, slant: float) -> Tensor:
    """A Gabor wavelet less the multiple of its window that makes its sum 0."""
    sigma = 0.8 * 2**scale
    wave = _gabor(sides, sigma, theta, 0.75 * math.pi / 2**scale, slant)
    window = _gabor(sides, sigma, theta, 0.0, slant)
    return wave - wave.sum() / window.sum() * window


def _at_resolution(spectra: Tensor, factor: int) -> Tensor:
    """Filters for images sub-sampled by ``factor``: high frequencies cut, aliases summed."""
    if factor == 1:
        return spectra
    for dim in (-2, -1):
        side = spectra.shape[dim]
        kept = torch.ones(side, dtype=spectra.dtype, device=spectra.device)
        kept[side // (2 * factor) : side - side // (2 * factor)] = 0
        spectra = spectra * (kept[:, None] if dim == -2 else kept)
    return _folded(spectra, factor) * factor**2


def _folded(spectrum: Tensor, factor: int) -> Tensor:
    """Spectrum of the sub-sampled image: the mean over aliases."""
    for dim in (-1, -2):
        aliases = spectrum.chunk(factor, dim)
        spectrum = sum(aliases[1:], aliases[0])
    return spectrum / factor**2 if factor > 1 else spectrum
