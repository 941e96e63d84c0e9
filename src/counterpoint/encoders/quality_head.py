"""A judge of sequences: one number from the token features of an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.errors import DataError


class QualityHead(nn.Module):
    """``W2 relu(W1 max_t h_t)``, a logit; its sigmoid is the quality of a rationale.

    Args:
        width: length D of a token feature.
        hidden: units between the two linear layers; None takes ``width``.

    Source: Wang et al., "Quality-guided Contrastive Rationale Distillation", EMNLP 2025, arXiv
    2405.13014 (the ReLU is not stated there; without it the two layers would be one).
    """

    def __init__(self, width: int, hidden: int | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden or width), nn.ReLU(), nn.Linear(hidden or width, 1)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits ``(B,)`` of token features ``(B, T, D)``; padded tokens, False in ``mask``
        ``(B, T)``, take no part in the maximum.

        Raises:
            DataError: a sequence without any token.
        """
        empty = (~mask.any(1)).nonzero().flatten()
        if len(empty):
            raise DataError(f"Sequence {int(empty[0])} has no token that is not padding.")
        pooled = tokens.masked_fill(~mask[:, :, None], -torch.inf).amax(1)
        logits: Tensor = self.layers(pooled)[:, 0]
        return logits
