"""From token features to one embedding a text, by a masked mean and a small network."""

from __future__ import annotations

from torch import Tensor, nn

SMALLEST_COUNT = 1e-9


class PoolingHead(nn.Module):
    """Masked mean, then ``W2 tanh(W1 LayerNorm(mean))``; kept at inference, not normalised.

    Args:
        width: length D of a token feature and of the embedding.

    Source: Hallee et al., Scientific Reports 2025, arXiv 2401.15713.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Embeddings ``(B, D)`` of token features ``(B, T, D)``; ``mask`` ``(B, T)`` is 1 or True
        for tokens that count. A text without any has mean 0."""
        weight = mask.to(tokens.dtype)[:, :, None]
        mean = (tokens * weight).sum(1) / weight.sum(1).clamp(min=SMALLEST_COUNT)
        out: Tensor = self.layers(mean)
        return out
