"""Heads that score how good an example of its class a representation is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.errors import SettingError


class PreferenceHeads(nn.Module):
    """``s_k(x, y) = tanh(MLP_k([h ; y 1]))``, H heads that differ by their start alone.

    Two hidden layers of the width of h with ReLU. The label enters as its number times a vector of
    ones, as published; ``classes`` makes it one-hot instead.

    Args:
        width: length D of a representation.
        heads: number H.
        classes: None for the label's number, else the length of its one-hot code.

    Source: Kim et al., "Prefer to Classify", ICML 2023, arXiv 2306.04925.
    """

    def __init__(self, width: int, heads: int = 3, classes: int | None = None) -> None:
        super().__init__()
        if width < 1 or heads < 1 or (classes is not None and classes < 1):
            raise SettingError(f"width, heads and classes are at least 1; got {width}, {heads}.")
        self.width, self.classes = width, classes
        label = width if classes is None else classes
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width + label, width),
                nn.ReLU(),
                nn.Linear(width, width),
                nn.ReLU(),
                nn.Linear(width, 1),
                nn.Tanh(),
            )
            for _ in range(heads)
        )

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:
        """Scores ``(H, B)`` in (-1, 1) of representations ``(B, D)`` with labels int64 ``(B,)``."""
        if self.classes is None:
            code = labels.to(h.dtype)[:, None].expand(-1, self.width)
        else:
            code = nn.functional.one_hot(labels, self.classes).to(h.dtype)
        joined = torch.cat([h, code], 1)
        return torch.stack([head(joined)[:, 0] for head in self.heads])
