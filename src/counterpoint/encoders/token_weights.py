"""How much each token of a sample counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TokenWeights(nn.Module):
    """``softmax`` over the valid tokens of ``Linear(W, 2W)-ReLU-Linear(2W, 1)``.

    Args:
        width: W.

    Source: Jin et al. 2023, DiffusionRet, arXiv 2303.09867; Wang et al. 2022, DRL,
    arXiv 2203.07111.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 1))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Weights ``(B, T)`` that sum to 1.

        Args:
            tokens: float ``(B, T, W)``, not normalised.
            mask: 1 or True for valid tokens, ``(B, T)``; a row without any weighs all alike.
        """
        logits: Tensor = self.score(tokens)[..., 0]
        return logits.masked_fill(mask == 0, torch.finfo(logits.dtype).min).softmax(-1)
