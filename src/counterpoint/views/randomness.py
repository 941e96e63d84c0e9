"""Random numbers that belong to a sample: a function of its seed alone, computed for a whole batch.

A counter-based generator (SplitMix64): the k-th number of a seed is a hash of both, so a view of
a sample is the same whatever batch, worker or device makes it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed number
_FIRST = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_SECOND = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB


def sample_seeds(seed: int, epoch: int, index: Tensor, view: int) -> Tensor:
    """Seeds of one view of each sample.

    Args:
        seed: seed of the run.
        epoch: number of the epoch.
        index: position of each sample in the training split, int64 ``(B,)``.
        view: number of the view.

    Returns:
        int64 ``(B,)``, equal for equal arguments and unrelated otherwise.
    """
    parts = torch.tensor([seed, epoch, view], dtype=torch.int64, device=index.device)
    key = torch.zeros_like(index)
    for part in (*parts, index):
        key = _mix(key + (part + 1) * _GOLDEN)
    return key


def fresh_seeds(count: int) -> Tensor:
    """Seeds drawn from torch's global generator, int64 ``(count,)``."""
    return torch.randint(-(2**63), 2**63 - 1, (count,))


def uniform(seeds: Tensor, stream: int, count: int) -> Tensor:
    """Numbers in [0, 1) for each seed, float32 ``(B, count)``.

    Args:
        seeds: int64 ``(B,)``.
        stream: numbers of different streams are unrelated.
        count: how many.
    """
    state = _mix(_mix(seeds) + stream)[:, None]
    steps = torch.arange(1, count + 1, device=seeds.device) * _GOLDEN
    return ((_mix(state + steps) >> 40) & 0xFFFFFF).float() * 2**-24


def normal(seeds: Tensor, stream: int, count: int) -> Tensor:
    """Standard normal numbers for each seed, float32 ``(B, count)`` (Box-Muller)."""
    radius, angle = uniform(seeds, stream, 2 * count).chunk(2, 1)
    return (-2 * (1 - radius).log()).sqrt() * (2 * math.pi * angle).cos()


def between(unit: Tensor, low: float, high: float) -> Tensor:
    """Stretches numbers in [0, 1) over [low, high)."""
    return unit * (high - low) + low


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical shift to the right."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
