"""Smooths a feature map by the similarity of its cells."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import normalize

from counterpoint.errors import SettingError

GUARD = 1e-6
"""Added before a power below 1, whose slope is infinite at 0."""


class PixelPropagation(nn.Module):
    """``y_i = sum_j max(cos(x_i, x_j), c)^gamma v_j``, ``v = g(x) / ||g(x)||``, over all cells j.

    No softmax and no division by the sum; normalise the result.

    Args:
        width: channels of the map.
        gamma: exponent, above 0.
        layers: of g: 0 the identity, 1 a 1x1 convolution, 2 convolution, batch norm, ReLU,
            convolution.
        clamp: c, below 1; 0 ignores cells of opposite features.

    Raises:
        SettingError: gamma, layers or clamp out of range.

    Source: Xie et al. 2021, Propagate Yourself (PixPro), arXiv 2011.10043; values normalised as in
    the authors' code.
    """

    def __init__(
        self, width: int, gamma: float = 2.0, layers: int = 1, *, clamp: float = 0.0
    ) -> None:
        super().__init__()
        if not gamma > 0 or layers not in (0, 1, 2):
            raise SettingError(
                f"gamma must be above 0 and layers 0, 1 or 2, not {gamma}, {layers}."
            )
        if not clamp < 1:
            raise SettingError(f"clamp must be below 1, got {clamp}.")
        self.gamma, self.clamp = gamma, clamp
        steps: list[nn.Module] = []
        if layers == 2:
            steps = [nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()]
        if layers:
            steps.append(nn.Conv2d(width, width, 1))
        self.transform = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        """Propagated map ``(N, C, H, W)`` of one of the same shape; not normalised."""
        unit = normalize(x.flatten(2), dim=1)
        similarity = (unit.transpose(1, 2) @ unit).clamp(min=self.clamp)
        if self.gamma < 1:
            similarity = similarity + GUARD
        values = normalize(self.transform(x).flatten(2), dim=1)
        propagated: Tensor = values @ similarity.pow(self.gamma).transpose(1, 2)
        return propagated.view_as(x)
