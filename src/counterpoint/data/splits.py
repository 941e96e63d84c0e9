"""Which samples are learnt from and which are held out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import SettingError


def stratified(
    labels: Tensor | None,
    count: int,
    share: float = 0.2,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> tuple[Tensor, Tensor]:
    """Splits samples at random, class by class.

    Of a class with n units ``round(share * n)`` are held out, but at least one and never the last
    one; a class with a single unit is only learnt from, and so is a sample without a label. A unit
    is a sample, or all samples of one group. With ``share=0`` nothing is held out.

    Args:
        labels: int64 ``(N,)`` with -1 where missing, or None for a split without classes.
        count: N.
        share: part to hold out, in [0, 1).
        seed: seed of the choice.
        groups: one key a sample; samples with equal keys stay on one side.

    Returns:
        Sorted positions of both sides, int64: learnt from, held out.

    Raises:
        SettingError: ``share`` is outside [0, 1).
    """
    check_share(share)
    unit = _units(groups, count)
    units = int(unit.max(initial=-1)) + 1
    classes = np.full(units, 0 if labels is None else -1, dtype=np.int64)
    if labels is not None:
        np.maximum.at(classes, unit, labels.numpy())
    rng = np.random.default_rng(seed)
    held = np.zeros(units, dtype=bool)
    for label in np.unique(classes[classes >= 0]):
        members = rng.permutation(np.flatnonzero(classes == label))
        held[members[: _quota(len(members), share)]] = True
    side = held[unit]
    return _positions(~side), _positions(side)


def by_group(groups: Sequence[str], share: float = 0.2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Holds out whole groups, chosen at random, together at most ``share`` of the samples.

    At least one group is held out and at least one is kept, when there are two or more.

    Args:
        groups: one key a sample.
        share: largest part to hold out, in [0, 1).
        seed: seed of the choice.

    Returns:
        Sorted positions of both sides, int64: learnt from, held out.
    """
    check_share(share)
    names, unit, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    room = share * len(groups)
    held: list[int] = []
    for group in order.tolist():
        if sizes[group] <= room:
            held.append(group)
            room -= sizes[group]
    if share > 0 and not held and len(names) > 1:
        held = [int(np.argmin(sizes))]
    side = np.isin(unit, held)
    return _positions(~side), _positions(side)


def thin(labels: Tensor | None, count: int, keep: int, seed: int = 0) -> Tensor:
    """Positions of ``keep`` of ``count`` samples, spread evenly over the classes, sorted.

    Each class keeps the same part of its samples up to rounding.
    """
    if keep >= count:
        return torch.arange(count)
    rng = np.random.default_rng(seed)
    rank = np.empty(count)
    classes = np.zeros(count, dtype=np.int64) if labels is None else labels.numpy()
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        rank[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return torch.from_numpy(np.sort(np.argsort(rank, kind="stable")[:keep]))


def described(what: str, share: float, labels: Tensor | None) -> str:
    """How `stratified` chose, in words."""
    return f"{share:.0%} of the {what}, drawn {'at random' if labels is None else 'class by class'}"


def check_share(share: float) -> None:
    """Refuses a share to hold out that is not in [0, 1)."""
    if not 0 <= share < 1:
        raise SettingError(f"test_share must be at least 0 and below 1; got {share}.")


def _units(
    groups: Sequence[Hashable] | None, count: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if groups is None:
        return np.arange(count)
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in groups], dtype=np.int64)


def _quota(members: int, share: float) -> int:
    if share == 0 or members == 1:
        return 0
    return min(max(round(share * members), 1), members - 1)


def _positions(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))
