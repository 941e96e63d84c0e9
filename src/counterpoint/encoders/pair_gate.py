"""A gate on the dimensions of an embedding, from the two classes that are compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PairGate(nn.Module):
    """``sigmoid(MLP((E[y] + E[y'])/2))`` in (0, 1), the same for both orders of the classes.

    MLP: ReLU, batch norm, linear, ReLU, batch norm, linear. In training its batch norm needs at
    least 2 pairs.

    Args:
        classes: number of classes.
        outputs: dimensions D of the embedding.
        width: of the label embedding E.
        hidden: units of the MLP.
        fuse: False takes ``sigmoid(MLP(E[y])) * sigmoid(MLP(E[y']))`` instead.

    Source: Rethinking Positive Pairs in Contrastive Learning (HYDRA), arXiv 2410.18200.
    """

    def __init__(
        self,
        classes: int,
        outputs: int = 256,
        *,
        width: int = 512,
        hidden: int = 1024,
        fuse: bool = True,
    ) -> None:
        super().__init__()
        self.fuse = fuse
        self.label_embedding = nn.Embedding(classes, width)
        self.mlp = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm1d(width),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Linear(hidden, outputs),
        )

    def forward(self, labels: Tensor, partners: Tensor) -> Tensor:
        """Gates ``(B, D)`` of classes and partner classes, int64 ``(B,)`` each."""
        own, other = self.label_embedding(labels), self.label_embedding(partners)
        if self.fuse:
            gate: Tensor = self.mlp((own + other) / 2).sigmoid()
            return gate
        product: Tensor = self.mlp(own).sigmoid() * self.mlp(other).sigmoid()
        return product


class OpenGate(nn.Module):
    """A gate of ones: all dimensions count, the baseline of `PairGate`.

    Args:
        outputs: dimensions D of the embedding.

    Source: Rethinking Positive Pairs in Contrastive Learning (HYDRA), arXiv 2410.18200.
    """

    def __init__(self, outputs: int = 256) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, labels: Tensor, partners: Tensor) -> Tensor:
        """Ones ``(B, D)``."""
        return torch.ones(len(labels), self.outputs, device=labels.device)
