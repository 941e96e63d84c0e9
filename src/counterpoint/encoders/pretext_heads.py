"""Classifiers of pretext tasks on the representation."""

from __future__ import annotations

from torch import Tensor, nn

from counterpoint.views.jigsaw import SIDE
from counterpoint.views.pretext import TURNS

WIDE = 8
NARROW = 4


def _layer(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]


class RotationHead(nn.Sequential):
    """Which of 4 turns an image has: two hidden layers of ``hidden`` and ``hidden / 4`` units.

    Logits ``(..., 4)`` of representations ``(..., width)``.

    Args:
        width: of the representation.
        hidden: units; 512 in the paper.
        dropout: after each ReLU.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939, authors' code.
    """

    def __init__(self, width: int, hidden: int = 512, dropout: float = 0.5) -> None:
        narrow = max(1, hidden // NARROW)
        super().__init__(
            *_layer(width, hidden, dropout),
            *_layer(hidden, narrow, dropout),
            nn.Linear(narrow, TURNS),
        )


class JigsawHead(nn.Module):
    """Which permutation the 9 tiles of an image have, from all of their representations.

    A layer of ``hidden`` units for each tile, the same for all; joined, a layer of ``8 hidden``
    units for the image.

    Args:
        width: of the representation.
        permutations: how many there are.
        hidden: units; 512 in the paper.
        dropout: after each ReLU.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939, authors' code.
    """

    def __init__(
        self, width: int, permutations: int, hidden: int = 512, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.tile = nn.Sequential(*_layer(width, hidden, dropout))
        self.image = nn.Sequential(
            *_layer(SIDE**2 * hidden, WIDE * hidden, dropout),
            nn.Linear(WIDE * hidden, permutations),
        )

    def forward(self, tiles: Tensor) -> Tensor:
        """Logits ``(N, permutations)`` of the representations of tiles ``(N, 9, width)``."""
        logits: Tensor = self.image(self.tile(tiles).flatten(1))
        return logits
