"""A small variational auto-encoder of representations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from counterpoint.errors import SettingError


class Rebuilt(NamedTuple):
    """What the auto-encoder gives: reconstruction ``(B, D)``, mean and deviation ``(B, L)``."""

    rebuilt: Tensor
    mean: Tensor
    deviation: Tensor


class FeatureAutoencoder(nn.Module):
    """D - 128 - 32 - L and back, ReLU between; ``z = mean + deviation * noise``.

    The published decoder ends in a sigmoid, which cannot rebuild values outside (0, 1): errors of
    other representations stay large and their squashed gradients small. ``bounded=False`` leaves it
    off.

    Args:
        width: length D of a representation.
        code: length L of the code; the paper has 8 and 16.
        bounded: whether the reconstruction goes through a sigmoid.

    Source: Shen et al., "Label-Agnostic Forgetting", ICLR 2024, arXiv 2404.00506.
    """

    def __init__(self, width: int, code: int = 8, *, bounded: bool = True) -> None:
        super().__init__()
        if width < 1 or code < 1:
            raise SettingError(f"width and code must be at least 1, got {width} and {code}.")
        self.encoder = nn.Sequential(
            nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU()
        )
        self.mean = nn.Linear(32, code)
        self.log_variance = nn.Linear(32, code)
        self.decoder = nn.Sequential(
            nn.Linear(code, 32),
            nn.ReLU(),
            nn.Linear(32, 128),
            nn.ReLU(),
            nn.Linear(128, width),
            nn.Sigmoid() if bounded else nn.Identity(),
        )

    def forward(self, h: Tensor, noise: Tensor | None = None, *, sample: bool = True) -> Rebuilt:
        """Reconstructs representations.

        Args:
            h: ``(B, D)``.
            noise: standard normal ``(B, L)``, drawn if None; also in eval mode, as published.
            sample: False decodes the mean of the code.
        """
        hidden = self.encoder(h)
        mean, deviation = self.mean(hidden), (self.log_variance(hidden) / 2).exp()
        if not sample:
            return Rebuilt(self.decoder(mean), mean, deviation)
        noise = torch.randn_like(mean) if noise is None else noise
        return Rebuilt(self.decoder(mean + deviation * noise), mean, deviation)
