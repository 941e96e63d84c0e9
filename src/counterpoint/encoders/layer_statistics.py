"""Content and style of a vision layer, and the prompt shift made of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoint.errors import DataError, SettingError

STYLE_FLOOR = 2.3e-8


def content_and_style(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over tokens, ``sqrt((sum_t (F_t - mu)^2 + 2.3e-8) / T)``.

    Args:
        tokens: output of a layer, class token included, ``(B, T, W)``.

    Returns:
        ``(B, W)`` each.

    Raises:
        DataError: another shape, or no token.

    Source: Singha et al., "GOPro", BMVC 2023, arXiv 2308.11605.
    """
    if tokens.dim() != 3 or tokens.shape[1] == 0:
        raise DataError(f"tokens must be (B, T, W) with T at least 1, got {tuple(tokens.shape)}.")
    content = tokens.mean(1)
    spread = (tokens - content[:, None]).square().sum(1)
    return content, ((spread + STYLE_FLOOR) / tokens.shape[1]).sqrt()


class PromptGenerator(nn.Module):
    """``sum_j rho_j g_j + rho_0``, added to every context token of a prompt alike.

    ``g_j = (A_j mu_j + A'_j (mu_j + sigma_j) / 2) / 2``, biases included, of each vision layer. The
    layers are detached: nothing reaches the image tower.

    Args:
        layers: number J of vision layers.
        width: W of their tokens.
        text_width: of the context tokens.
        context: start of the context tokens ``(M, text_width)``.

    Source: Singha et al., "GOPro: Generate and Optimize Prompts in CLIP using Self-Supervised
    Learning", BMVC 2023, arXiv 2308.11605.
    """

    def __init__(self, layers: int, width: int, text_width: int, context: Tensor) -> None:
        super().__init__()
        if context.dim() != 2 or context.shape[1] != text_width or layers < 1:
            raise SettingError(f"context must be (M, {text_width}), got {tuple(context.shape)}.")
        self.context = nn.Parameter(context.detach().clone())
        self.content = nn.ModuleList(nn.Linear(width, text_width) for _ in range(layers))
        self.style = nn.ModuleList(nn.Linear(width, text_width) for _ in range(layers))
        self.rho = nn.Linear(layers, 1)

    def forward(self, tokens: Sequence[Tensor]) -> Tensor:
        """Context ``(B, M, text_width)`` from the tokens ``(B, T, W)`` of every layer.

        Raises:
            DataError: another number of layers.
        """
        if len(tokens) != len(self.content):
            raise DataError(f"{len(tokens)} layers given, {len(self.content)} expected.")
        parts = []
        for layer, content, style in zip(tokens, self.content, self.style, strict=True):
            mu, sigma = content_and_style(layer.detach())
            parts.append((content(mu) + style((mu + sigma) / 2)) / 2)
        shift = self.rho(torch.stack(parts, -1))[..., 0]
        out: Tensor = self.context + shift[:, None]
        return out
