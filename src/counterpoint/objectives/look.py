"""LOOK: the leave-one-out vote of the nearest neighbours is right."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_integers,
    check_reduction,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.row_function import row_losses
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.masked import masked_log_sum
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.same_label import UNKNOWN

Empty = Literal["nearest", "skip", "eps"]
VOTE_EPS = 1e-6


@objective(
    inputs="labels",
    across_ranks="a rank votes within its own bank; ranks of equal batches average it",
    source="Feng et al. 2022, Rethinking Supervised Pre-training for Better Downstream "
    "Transferring, arXiv 2110.06014 (formula reconstructed)",
)
def look(
    z: Tensor,
    labels: Tensor,
    bank: Tensor | None = None,
    bank_labels: Tensor | None = None,
    temperature: Temperature = 0.1,
    *,
    k: int = 20,
    empty: Empty = "nearest",
    ids: Tensor | None = None,
    bank_ids: Tensor | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-log`` of the share of the own class in the votes ``exp(s_ij / t)`` of the k nearest.

    ``-log(sum over neighbours of the class exp(s_ij / t) / sum over all k neighbours)``. The sum is
    inside the logarithm: one near sample of the class is enough, so a class may keep several modes;
    samples beyond the k nearest get no gradient, and the choice itself is not differentiated. With
    k at least the number of candidates it is the NCA-type loss, `contrast` with
    ``aggregate="log_sum"``; averaging logarithms instead would be `supcon` among neighbours.

    Args:
        z: embeddings ``(N, D)``.
        labels: int64 ``(N,)``; -1 where unknown: such a row votes for no class and is skipped.
        bank: candidates ``(M, D)``, e.g. a queue with the current keys; no gradient. None for
            the batch itself, with gradient through both sides.
        bank_labels: int64 ``(M,)``.
        temperature: positive; number, learnable scalar or one a row.
        k: neighbours, at least 2 (the loss of one neighbour is 0 whatever the embedding); more than
            there are means all. Begin large, see `neighbours_at`.
        empty: where none of the k is of the class: ``"nearest"`` puts the nearest one of the class
            in place of the k-th, and skips the anchor if there is none; ``"skip"`` leaves it out of
            the mean; ``"eps"`` takes ``-log(share + 1e-6)`` of every anchor.
        ids: sample of each row, int64 ``(N,)``; candidates of the same one are left out. None for
            no sample twice.
        bank_ids: int64 ``(M,)``.
        normalize: divide every row by its length.
        reduction: over anchors that are not skipped. Do not divide by the number of positives.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings, labels or ids that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Feng et al., "LOOK", ICLR 2022, arXiv 2110.06014. The paper's idea; formula, rule for
    empty votes and schedule are reconstructed, for no code was published.
    """
    check_reduction(reduction)
    if k < 2:
        raise SettingError(f"k must be at least 2, got {k}.")
    check_choice(Empty, empty=empty)
    own = bank is None
    if bank is None:
        (z,) = prepare(normalize, z=z)
        pool, pool_labels, pool_ids = z, labels, ids
    else:
        if bank_labels is None or (ids is None) != (bank_ids is None):
            raise DataError("A bank needs bank_labels=, and ids of both sides or of none.")
        z, pool = prepare(normalize, z=z, bank=bank.detach())
        pool_labels, pool_ids = bank_labels, bank_ids
    y = check_integers("labels", labels, len(z))
    every_y = check_integers("bank_labels", pool_labels, len(pool))
    who = None if ids is None else check_integers("ids", ids, len(z))
    every_who = None if pool_ids is None else check_integers("bank_ids", pool_ids, len(pool))
    count = min(k, len(pool))

    def votes(logits: Tensor, i: Tensor, j: Tensor) -> Tensor:
        left_out = (i == j) if own else torch.zeros_like(logits, dtype=torch.bool)
        if who is not None and every_who is not None:
            left_out = left_out | (who[i] == every_who[j])
        scores = logits.masked_fill(left_out, -torch.inf)
        near = scores.topk(count, dim=1)
        values, there = near.values, near.values > -torch.inf
        known = y[i] != UNKNOWN
        same = (every_y[near.indices] == y[i]) & there & known
        if empty == "nearest":
            best = scores.masked_fill((every_y[j] != y[i]) | ~known, -torch.inf).amax(1)
            missing = ~same.any(1) & (best > -torch.inf)
            last = torch.arange(count, device=logits.device) == count - 1
            placed = missing[:, None] & last
            values = torch.where(placed, best[:, None], values)
            same = same | placed
        return _lost(values, there, same, empty)

    scale = inverse_temperature(temperature, len(z), z)
    found = row_losses(votes, z, pool, scale)
    return reduce(found[:, 0], reduction, found[:, 1] > 0)


def _lost(values: Tensor, there: Tensor, same: Tensor, empty: Empty) -> Tensor:
    """Loss of each row and whether it counts, ``(b, 2)``."""
    total, _ = masked_log_sum(values, there)
    right, known = masked_log_sum(values, same)
    lost = (total - right).where(known, 0.0)
    counted = known
    if empty == "eps":
        share = (right - total).exp().where(known, 0.0)
        lost = -(share + VOTE_EPS).log()
        counted = torch.ones_like(known)
    return torch.stack([lost, counted.to(values.dtype)], 1)


def neighbours_at(
    progress: float, k: int = 20, start: int | None = None, until: float = 0.5
) -> int:
    """k at ``progress`` in [0, 1] of training: linear from ``start`` to k at ``until``.

    Args:
        progress: share of the training done.
        k: the target.
        start: at the beginning; None for 10 k.
        until: share of training after which k stays.

    Raises:
        SettingError: a number out of range.

    Source: reconstructed for Feng et al., "LOOK", ICLR 2022, arXiv 2110.06014.
    """
    start = 10 * k if start is None else start
    if not 0 <= progress <= 1 or not 0 < until <= 1 or not 2 <= k <= start:
        raise SettingError("Need progress in [0, 1], until in (0, 1] and 2 <= k <= start.")
    return round(start + (k - start) * min(progress / until, 1.0))


class LOOK(Loss, function=look):
    """`counterpoint.objectives.functional.look` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        k: int = 20,
        empty: Empty = "nearest",
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature, k=k, empty=empty, normalize=normalize, reduction=reduction
        )

    def forward(
        self,
        z: Tensor,
        labels: Tensor,
        bank: Tensor | None = None,
        bank_labels: Tensor | None = None,
        *,
        ids: Tensor | None = None,
        bank_ids: Tensor | None = None,
    ) -> Tensor:
        banked = {"bank": bank, "bank_labels": bank_labels, "bank_ids": bank_ids}
        return self.call(z, labels, ids=ids, **banked)
