"""Differentiable sorting networks: a row of numbers to soft ranks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.errors import SettingError

Network = Literal["odd_even", "bitonic"]
Relaxation = Literal["cauchy", "logistic", "logistic_phi", "gaussian", "reciprocal", "optimal"]
Layer = tuple[list[int], list[int]]
"""Wires that receive the smaller and the larger value of each comparison."""


def layers(n: int, network: Network = "odd_even") -> list[Layer]:
    """The comparisons of a network that sorts n numbers in rising order.

    Args:
        n: how many numbers.
        network: ``"odd_even"``, n layers of neighbours, or ``"bitonic"``, O(log^2 n) layers.

    Raises:
        SettingError: unknown network.

    Source: Petersen et al., Differentiable Sorting Networks, ICML 2021; Batcher 1968 (bitonic).
    """
    if network == "odd_even":
        starts = [list(range(layer % 2, n - 1, 2)) for layer in range(n)]
        return [(low, [j + 1 for j in low]) for low in starts]
    if network != "bitonic":
        raise SettingError(f"network must be one of {get_args(Network)}, not {network!r}.")
    size = 1 << max(n - 1, 0).bit_length()
    missing = size - n
    found = []
    block = 2
    while block <= size:
        stride = block // 2
        while stride:
            found.append(_bitonic_layer(size, missing, block, stride))
            stride //= 2
        block *= 2
    return found


def _bitonic_layer(size: int, missing: int, block: int, stride: int) -> Layer:
    low, high = [], []
    for i in range(missing, size):
        if i & stride:
            continue
        first, second = i - missing, i + stride - missing
        low.append(first if not i & block else second)
        high.append(second if not i & block else first)
    return low, high


def ascending(
    difference: Tensor,
    relaxation: Relaxation = "cauchy",
    steepness: float = 1.0,
    art_lambda: float = 0.25,
) -> Tensor:
    """How much two wires are in order already, in (0, 1), from the second less the first.

    With ``v = steepness * difference``: cauchy ``1/2 + arctan(v) / pi``, logistic ``sigmoid(v)``,
    logistic_phi ``sigmoid(v / (|difference| + 1e-10)^art_lambda)``, gaussian the normal CDF of v,
    reciprocal ``(v / (2 + |v|) + 1) / 2``, optimal ``v + 1/2`` within 1/4 of 0, else
    ``1 - 1 / (16 v)`` and its mirror.

    Raises:
        SettingError: unknown relaxation, steepness that is not above 0.

    Source: Petersen et al., Monotonic Differentiable Sorting Networks, ICLR 2022.
    """
    if not steepness > 0:
        raise SettingError(f"steepness must be above 0, not {steepness}.")
    if relaxation not in _RELAXATIONS:
        raise SettingError(f"relaxation must be one of {get_args(Relaxation)}, not {relaxation!r}.")
    if relaxation == "logistic_phi":
        spread = (difference.abs() + 1e-10) ** art_lambda
        return (steepness * difference / spread).sigmoid()
    return _RELAXATIONS[relaxation](steepness * difference)


def _optimal(v: Tensor) -> Tensor:
    inside = v.abs() <= 0.25
    tail = 1 / (16 * v.where(~inside, 1.0))
    return torch.where(inside, v + 0.5, torch.where(v > 0, 1 - tail, -tail))


_RELAXATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "cauchy": lambda v: 0.5 + v.arctan() / math.pi,
    "logistic": torch.sigmoid,
    "logistic_phi": torch.sigmoid,
    "gaussian": lambda v: (1 + (v / math.sqrt(2)).erf()) / 2,
    "reciprocal": lambda v: (v / (2 + v.abs()) + 1) / 2,
    "optimal": _optimal,
}


def soft_sort(
    x: Tensor,
    network: Network = "odd_even",
    relaxation: Relaxation = "cauchy",
    *,
    steepness: float = 1.0,
    art_lambda: float = 0.25,
) -> tuple[Tensor, Tensor]:
    """Softly sorted rows and the soft permutation that sorts them.

    Args:
        x: float ``(B, n)``.
        network: see `layers`.
        relaxation: see `ascending`; art_lambda belongs to logistic_phi.
        steepness: above 0; larger is closer to the hard sort.
        art_lambda: exponent of logistic_phi.

    Returns:
        ``(B, n)`` rising, and P ``(B, n, n)``: the soft probability that input (row) ends at rank
        (column). P is doubly stochastic and ``sorted = x P``.

    Raises:
        SettingError: a setting out of range.

    Source: Petersen et al., Differentiable Sorting Networks, ICML 2021.
    """
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    shares = identity.expand(len(x), -1, -1)
    for low, high, alpha in _steps(x, network, relaxation, steepness, art_lambda):
        a, b, mixed = shares[..., low], shares[..., high], alpha[:, None]
        shares = shares.index_copy(2, _at(low, x), mixed * a + (1 - mixed) * b)
        shares = shares.index_copy(2, _at(high, x), (1 - mixed) * a + mixed * b)
    return (x[:, None] @ shares)[:, 0], shares


def upper_shares(
    x: Tensor,
    lower: int,
    network: Network = "odd_even",
    relaxation: Relaxation = "cauchy",
    *,
    steepness: float = 1.0,
    art_lambda: float = 0.25,
) -> Tensor:
    """The soft probability ``(B, n)`` that each input ends above the ``lower`` smallest ranks.

    The sum of the columns ``lower, lower + 1, ...`` of P of `soft_sort`, without P. Arguments and
    errors as there.
    """
    share = (torch.arange(x.shape[1], device=x.device) >= lower).to(x.dtype).expand_as(x)
    steps = list(_steps(x, network, relaxation, steepness, art_lambda))
    for low, high, alpha in reversed(steps):
        a, b = share[:, low], share[:, high]
        share = share.index_copy(1, _at(low, x), alpha * a + (1 - alpha) * b)
        share = share.index_copy(1, _at(high, x), (1 - alpha) * a + alpha * b)
    return share


def _steps(
    x: Tensor, network: Network, relaxation: Relaxation, steepness: float, art_lambda: float
) -> list[tuple[list[int], list[int], Tensor]]:
    steps = []
    for low, high in layers(x.shape[1], network):
        a, b = x[:, low], x[:, high]
        alpha = ascending(b - a, relaxation, steepness, art_lambda)
        x = x.index_copy(1, _at(low, x), alpha * a + (1 - alpha) * b)
        x = x.index_copy(1, _at(high, x), (1 - alpha) * a + alpha * b)
        steps.append((low, high, alpha))
    return steps


def _at(wires: list[int], like: Tensor) -> Tensor:
    return torch.tensor(wires, dtype=torch.long, device=like.device)
