"""The jigsaw: tiles of an image in another order."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from counterpoint.errors import SettingError

SIDE = 3
"""Tiles in each direction."""


def tile_boxes(size: int) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom of the 3 x 3 tiles of a square image, row by row.

    With ``a = size / 6`` and the centre ``c = 2 a i + a`` a tile spans ``ceil(c - a)`` to
    ``floor(c + a)``, in floating point as in the authors' code: 31, not 32, at the far edge of 32.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939, authors' code.
    """
    if size < SIDE:
        raise SettingError(f"An image of {size} pixels has no {SIDE} x {SIDE} tiles.")
    half = size / SIDE / 2
    centres = [half * i * 2 + half for i in range(SIDE)]
    spans = [(math.ceil(c - half), math.floor(c + half)) for c in centres]
    return [(left, top, right, bottom) for top, bottom in spans for left, right in spans]


def jigsaw(images: Tensor, permutations: Tensor) -> Tensor:
    """Tiles of each image, brought to full size, in the order of its permutation.

    Args:
        images: float ``(N, C, S, S)``.
        permutations: int64 ``(N, 9)``.

    Returns:
        ``(N, 9, C, S, S)``.

    Source: Kinakh et al. 2021, ScatSimCLR, arXiv 2108.13939.
    """
    size = images.shape[-1]
    tiles = torch.stack(
        [
            interpolate(images[:, :, t:b, le:r], (size, size), mode="bilinear", align_corners=False)
            for le, t, r, b in tile_boxes(size)
        ],
        1,
    )
    return tiles[torch.arange(len(images), device=images.device)[:, None], permutations]


def jigsaw_permutations(count: int = 35, *, pool: int = 1000, seed: int = 0) -> Tensor:
    """Permutations of the 9 tiles that are far from each other and from the identity.

    Each next one is the permutation, of a random pool, with the largest least Hamming distance to
    those chosen. The identity is not among them.

    Args:
        count: how many, at most ``pool``.
        pool: random permutations to choose from.
        seed: of the pool.

    Returns:
        int64 ``(count, 9)``.

    Source: Noroozi and Favaro 2016; Kinakh et al. 2021, arXiv 2108.13939 (35).
    """
    if not 1 <= count <= pool:
        raise SettingError(f"count must lie in 1..{pool}, not {count}.")
    generator = torch.Generator().manual_seed(seed)
    tiles = SIDE * SIDE
    candidates = torch.stack([torch.randperm(tiles, generator=generator) for _ in range(pool)])
    nearest = (candidates != torch.arange(tiles)).sum(1)
    chosen = []
    for _ in range(count):
        best = candidates[nearest.argmax()]
        chosen.append(best)
        nearest = torch.minimum(nearest, (candidates != best).sum(1))
    return torch.stack(chosen)
