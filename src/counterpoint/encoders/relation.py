"""A learned comparison of embeddings with prototypes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Relation(nn.Module):
    """``r([z, c]) = W2 relu(W1 [z, c])`` without biases, a logit a pair.

    Args:
        width: length D of an embedding.
        hidden: units between.

    Source: Qin et al., "FoPro", AAAI 2023, arXiv 2212.00465.
    """

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * width, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, 1, bias=False),
        )

    def forward(self, z: Tensor, prototypes: Tensor) -> Tensor:
        """Logits ``(B, C)`` of embeddings ``(B, D)`` and prototypes ``(C, D)``, both detached."""
        shape = (len(z), len(prototypes), z.shape[1])
        pairs = [z.detach()[:, None].expand(shape), prototypes.detach()[None].expand(shape)]
        out: Tensor = self.layers(torch.cat(pairs, 2))[..., 0]
        return out
