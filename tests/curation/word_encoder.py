"""A small text encoder, and a lesson for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint.curation.fine_tuning import Lesson
from counterpoint.encoders.base import Encoder

WORDS = ("cat", "dog", "owl", "the", "a", "is", "was", "here")
KINDS = 3


class Words(Encoder):
    """The mean of word vectors, through two layers."""

    width = 12
    modality = "text"

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(len(WORDS), 12, generator=generator))
        self.stack = nn.ModuleList(nn.Linear(12, 12) for _ in range(2))
        for layer in self.stack:
            layer.weight.data = torch.randn(12, 12, generator=generator) / 12**0.5
            layer.bias.data.zero_()

    def prepare(self, items: Sequence[Any]) -> Tensor:
        return torch.tensor([[text.split().count(word) for word in WORDS] for text in items]) * 1.0

    def forward(self, inputs: Any) -> Tensor:
        h = nn.functional.dropout(inputs @ self.table, 0.1, self.training)
        for layer in self.stack:
            h = h + layer(h).tanh()
        return h


def lesson(count: int = 120) -> Lesson:
    """Texts of three kinds that their first word tells apart."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % KINDS
    texts = [" ".join([WORDS[c], *rng.choice(WORDS[3:], rng.integers(1, 6))]) for c in y]
    base = Words().eval()
    with torch.no_grad():
        z = base(base.prepare(texts)).double().numpy()
    return Lesson(texts, np.eye(KINDS)[y], z, y, np.ones(count))
