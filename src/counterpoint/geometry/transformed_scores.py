"""Scores of pairs as they are, and as extrapolation and interpolation would make them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import DataError
from counterpoint.geometry.inputs import unit_rows
from counterpoint.pairs.mixing import draw_beta, mix, mix_pairs

TRANSFORMATIONS = ("plain", "extrapolation", "interpolation", "both")


@torch.no_grad()
def transformed_scores(
    queries: Any,
    keys: Any,
    *,
    positive_alpha: float = 2.0,
    negative_alpha: float = 1.6,
    seed: int = 0,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Similarities of positive and negative pairs with and without feature transformation.

    Extrapolation moves the two of a positive pair apart, ``q' = w q + (1 - w) k`` and
    ``k' = w k + (1 - w) q`` with ``w = 1 + Beta(positive_alpha, positive_alpha)``; interpolation
    mixes two negatives, ``n'_j = v k_j + (1 - v) k_{j+s}`` with ``v = Beta(negative_alpha,
    negative_alpha)``. Where training draws one weight a step, here every pair and every negative
    has its own, so that one look shows what many steps see.

    Args:
        queries: ``(N, D)``, N at least 3, divided by their length here.
        keys: ``(N, D)``; key i is the positive of query i, the others are its negatives.
        positive_alpha: above 0.
        negative_alpha: above 0.
        seed: of the draws.

    Returns:
        For each of ``TRANSFORMATIONS`` the positive scores ``(N,)`` and the negative ones
        ``(N, N - 2)``: the same pairs in all four, without the mixtures of a query's own key.

    Raises:
        DataError: shapes differ, fewer than three rows, values that are not finite.
        SettingError: an alpha out of range.

    Source: Zhu et al., Improving Contrastive Learning by Visualizing Feature Transformation,
    ICCV 2021, arXiv 2108.02982.
    """
    q, k = (unit_rows(x, name, at_least=3) for x, name in ((queries, "queries"), (keys, "keys")))
    if q.shape != k.shape:
        raise DataError(f"queries {tuple(q.shape)} and keys {tuple(k.shape)} differ in shape.")
    count = len(q)
    generator = torch.Generator(q.device).manual_seed(seed)
    shift = int(torch.randint(1, count, (), generator=generator, device=q.device))
    harder_q, harder_k = mix_pairs(q, k, 1 + draw_beta(positive_alpha, (count, 1), q, generator))
    mixtures = mix(k, k.roll(-shift, 0), draw_beta(negative_alpha, (count, 1), k, generator))
    own = torch.eye(count, dtype=torch.bool, device=q.device)
    others = ~(own | own.roll(-shift, 1))
    found = {}
    for name in TRANSFORMATIONS:
        moved = name in ("extrapolation", "both")
        a, positive = (harder_q, harder_k) if moved else (q, k)
        negatives = mixtures if name in ("interpolation", "both") else k
        scores = (a @ negatives.T)[others].view(count, count - 2)
        found[name] = ((a * positive).sum(1), scores)
    return found
