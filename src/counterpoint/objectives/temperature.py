"""A temperature that is learnt within bounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import check_temperature
from counterpoint.errors import SettingError


def over_base(temperature: float | Tensor, base: float | None) -> float | Tensor:
    """``temperature / base``, by which the code of supervised contrast multiplies; 1 without base.

    Raises:
        SettingError: a base that is not positive, or a temperature of each row.
    """
    if base is None:
        return 1.0
    check_temperature(base_temperature=base)
    if not isinstance(temperature, Tensor):
        return temperature / base
    if temperature.numel() > 1:
        raise SettingError("base_temperature needs one temperature for all.")
    return temperature.reshape(()) / base


class Temperature(nn.Module):
    """``exp(-log_scale)``, kept in ``[lowest, highest]``.

    The gradient passes the bounds unchanged, so a temperature that has run against one comes back
    as soon as the loss asks for it.

    Args:
        initial: the value at the start.
        lowest: lower bound; 0.01 is the scale of 100 at which CLIP clips.
        highest: upper bound.

    Raises:
        SettingError: not ``0 < lowest <= initial <= highest``.

    Example:
        >>> loss = CLIP(temperature=Temperature(0.07))
    """

    def __init__(self, initial: float = 0.07, *, lowest: float = 0.01, highest: float = 10.0):
        super().__init__()
        if not 0 < lowest <= initial <= highest:
            raise SettingError(
                f"A temperature needs 0 < lowest <= initial <= highest, not {lowest}, {initial}, "
                f"{highest}."
            )
        self.lowest, self.highest = lowest, highest
        self.log_scale = nn.Parameter(torch.tensor(-math.log(initial)))

    def forward(self) -> Tensor:
        bounds = -math.log(self.highest), -math.log(self.lowest)
        clipped = self.log_scale.detach().clamp(*bounds)
        return torch.exp(-(clipped + self.log_scale - self.log_scale.detach()))

    def extra_repr(self) -> str:
        return f"lowest={self.lowest}, highest={self.highest}"
