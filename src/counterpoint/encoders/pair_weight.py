"""A learnt weight in (0, 1) for a pair of embeddings."""

from __future__ import annotations

from torch import Tensor, nn


class PairWeight(nn.Module):
    """``w(t, s) = sigmoid(w2 tanh(W1 (t + s) + b1) + b2)``, the same for both orders.

    Args:
        width: D of the embeddings.
        hidden: units H.

    Source: AdaMEOW, IEEE TKDE 2024, arXiv 2212.13847.
    """

    def __init__(self, width: int, hidden: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, 1)

    def forward(self, t: Tensor, s: Tensor) -> Tensor:
        """Weights ``(...)`` of embeddings ``(..., D)`` that broadcast against each other."""
        weight: Tensor = self.second(self.first(t + s).tanh()).sigmoid()
        return weight[..., 0]
