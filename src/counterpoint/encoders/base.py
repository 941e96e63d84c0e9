"""What every encoder offers, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from counterpoint.data.batch import Inputs


class Encoder(nn.Module):
    """Turns prepared inputs into representations ``h``.

    Attributes:
        width: length D of a representation.
        modality: ``"images"`` or ``"text"``.
        config: plain values from which `counterpoint.encoders.build` makes the same module again.
    """

    width: int
    modality: str
    config: dict[str, Any]

    def prepare(self, items: Sequence[Any]) -> Inputs:
        """Collates items (float images in [0, 1] ``(C, H, W)``, or strings) into inputs."""
        raise NotImplementedError

    def forward(self, inputs: Inputs) -> Tensor:
        """Representations ``(B, width)``, not normalised."""
        raise NotImplementedError
