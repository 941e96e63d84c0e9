"""Generates the relevance of a list of candidates out of noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from counterpoint.errors import DataError, SettingError

SPREAD = 0.02
"""Standard deviation of the initial weights."""


def pool_by_query(query: Tensor, tokens: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """``sum_f softmax_f(<q, v_f> / t) mask_f v_f``, the tokens as a query sees them.

    The mask multiplies after the softmax, which is not renormalised: a fully masked row pools to
    the zero vector.

    Args:
        query: float ``(..., W)``.
        tokens: float ``(..., F, W)``.
        mask: 1 or True for real tokens, ``(..., F)``.
        temperature: t, above 0.

    Returns:
        ``(..., W)``, leading shapes broadcast.

    Source: Jin et al. 2023, DiffusionRet, arXiv 2303.09867.
    """
    logits = torch.linalg.vecdot(query[..., None, :], tokens) / temperature
    weight = logits.softmax(-1) * mask
    pooled: Tensor = (weight[..., None] * tokens).sum(-2)
    return pooled


def step_table(n: Tensor, width: int, like: Tensor) -> Tensor:
    """``sin(n w_i)`` and ``cos(n w_i)`` alternating, ``w_i = 10000^(-2 i / W)``, ``(B, W)``.

    Rounded to single precision as in the released code, whatever the dtype of ``like``.
    """
    places = torch.arange(0, width, 2, dtype=torch.float32, device=like.device)
    angle = n[:, None].float() * torch.exp(places * (-math.log(10000.0) / width))
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).to(like.dtype)


class ListDenoiser(nn.Module):
    """Predicts the clean relevance ``x_0`` of K candidates from noisy ones.

    With the embedding e of the step, queries q and candidates v::

        w = softmax_k(<Wq (q_k + e), Wk (v_k + e)> + x_k)
        h = Wo sum_k w_k Wv (v_k + e) + bo
        out_k = MLP([h; v_k]) + w_k

    The order of the candidates does not matter: the output is permuted with them. All features are
    detached; the network learns alone. Training compares the output with the right candidate by
    `counterpoint.objectives.functional.list_generation`; one network a direction.

    Args:
        width: W, even.
        temperature: of the pooling of tokens, above 0.

    Raises:
        SettingError: width or temperature out of range.

    Source: Jin et al. 2023, DiffusionRet: Generative Text-Video Retrieval with Diffusion Model,
    arXiv 2303.09867.
    """

    def __init__(self, width: int, temperature: float = 1.0) -> None:
        super().__init__()
        if width < 2 or width % 2 or not temperature > 0:
            raise SettingError(
                f"width must be even, temperature above 0, not {width}, {temperature}."
            )
        self.width, self.temperature = width, temperature
        self.step = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.decoder = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 1)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=SPREAD)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, n: Tensor, queries: Tensor, candidates: Tensor) -> Tensor:
        """Predicted ``x_0`` ``(B, K)``.

        Args:
            x: noisy relevance, float ``(B, K)``.
            n: step, int64 ``(B,)``.
            queries: ``(B, 1, W)``, or ``(B, K, W)`` for one a candidate.
            candidates: ``(B, K, W)``.

        Raises:
            DataError: shapes that do not fit.
        """
        rows, length = x.shape
        if candidates.shape != (rows, length, self.width) or queries.shape not in (
            (rows, 1, self.width),
            (rows, length, self.width),
        ):
            raise DataError(
                f"x {tuple(x.shape)}, queries {tuple(queries.shape)} and candidates "
                f"{tuple(candidates.shape)} do not fit width {self.width}."
            )
        queries, candidates = queries.detach(), candidates.detach()
        e = self.step(step_table(n, self.width, x))[:, None]
        q, key, value = (
            self.query(queries + e),
            self.key(candidates + e),
            self.value(candidates + e),
        )
        weight = (torch.linalg.vecdot(q, key) + x).softmax(-1)
        h = self.out((weight[..., None] * value).sum(1))
        both = torch.cat([h[:, None].expand_as(candidates), candidates], -1)
        out: Tensor = self.decoder(both)[..., 0] + weight
        return out

    def of_videos(self, x: Tensor, n: Tensor, text: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
        """Relevance of K candidate videos for each text.

        Args:
            x: ``(B, K)``.
            n: ``(B,)``.
            text: ``(B, W)``, not normalised.
            frames: ``(B, K, F, W)``.
            mask: ``(B, K, F)``.
        """
        query = text[:, None]
        return self.forward(x, n, query, pool_by_query(query, frames, mask, self.temperature))

    def of_texts(self, x: Tensor, n: Tensor, frames: Tensor, mask: Tensor, texts: Tensor) -> Tensor:
        """Relevance of K candidate texts for each video.

        Args:
            x: ``(B, K)``.
            n: ``(B,)``.
            frames: ``(B, F, W)``, not normalised.
            mask: ``(B, F)``.
            texts: ``(B, K, W)``.
        """
        seen = pool_by_query(texts, frames[:, None], mask[:, None], self.temperature)
        return self.forward(x, n, seen, texts)
