"""Heads without or with few parameters that show what a projection head does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.errors import SettingError


class FixedReweighting(nn.Module):
    """``z_i = kappa^-i u_i``, i = 0 .. width - 1: a head without parameters.

    The loss sees z, normalised if it is contrastive; downstream uses u. The ladder of weights takes
    the place of a trained head: early coordinates specialise to the loss, late ones hardly. It
    underflows harmlessly for late coordinates of wide heads; do not divide by it. 1.05 for images,
    1.2 to 1.5 for supervised training on coarse classes.

    Args:
        width: length of the representation.
        kappa: above 0; 1 is no head, below 1 reverses the order.

    Raises:
        SettingError: kappa or width out of range.

    Source: Xue et al. 2024, Investigating the Benefits of Projection Head for Representation
    Learning, arXiv 2403.11391.
    """

    weights: Tensor

    def __init__(self, width: int, kappa: float = 1.05) -> None:
        super().__init__()
        if not kappa > 0 or width < 1:
            raise SettingError(f"A head needs kappa above 0 and a width, not {kappa}, {width}.")
        ladder = kappa ** -torch.arange(width, dtype=torch.float64)
        self.register_buffer("weights", ladder.to(torch.get_default_dtype()))

    def forward(self, u: Tensor) -> Tensor:
        """``(N, width)`` of the same shape."""
        return u * self.weights.to(u.dtype)

    def effective_dimension(self) -> float:
        """``sum_i kappa^-2i``, about the number of coordinates that matter to the loss."""
        return float(self.weights.double().square().sum())


def symmetric_relu(x: Tensor, b: Tensor | float) -> Tensor:
    """``relu(x - b) - relu(-x - b)``: 0 within b of 0; with b = 0 the identity.

    Source: Xue et al. 2024, arXiv 2403.11391, authors' code.
    """
    return (x - b).relu() - (-x - b).relu()


class IdentityHead(nn.Module):
    """``W2 srelu(W1 u + b1) + b2``, the identity at the start, to follow what training makes of it.

    Args:
        width: length of the representation and of the embedding.

    Source: Xue et al. 2024, arXiv 2403.11391, authors' code.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.threshold = nn.Parameter(torch.zeros(()))
        for layer in (self.first, self.second):
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, u: Tensor) -> Tensor:
        """``(N, width)`` of the same shape."""
        embedding: Tensor = self.second(symmetric_relu(self.first(u), self.threshold))
        return embedding
