"""How sharply a softmax contrast singles out the hardest negatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry.inputs import rows


def relative_penalty(negatives: Any, temperature: float, alpha: float | None = None) -> Tensor:
    """Share of the push that each negative of an anchor receives.

    ``r_ij = |dL_i/ds_ij| / |dL_i/ds_ii| = exp(s_ij/temperature) / sum_k exp(s_ik/temperature)``
    over the negatives k of anchor i: a distribution, the same for the contrastive loss with or
    without the positive in its denominator. With ``alpha`` only the hardest fraction is kept (the
    hard contrastive loss): ``max(1, ceil(alpha M - 1e-9))`` negatives, the rest get 0.

    Args:
        negatives: similarities ``(N, M)`` of N anchors to their M negatives, finite floats.
        temperature: above 0.
        alpha: fraction of negatives kept, in (0, 1]; None keeps all.

    Returns:
        ``(N, M)``, rows summing to 1.

    Raises:
        DataError: not a finite matrix, or no negative.
        SettingError: temperature or alpha out of range.

    Source: Wang and Liu, "Understanding the Behaviour of Contrastive Loss", CVPR 2021, Sec. 3.2
    and Eq. 9.
    """
    if not temperature > 0:
        raise SettingError(f"temperature must be above 0, got {temperature}.")
    s = rows(negatives, "negatives", at_least=1)
    if s.shape[1] == 0:
        raise DataError("negatives has no column: an anchor without negatives has no penalty.")
    return (_hardest(s, alpha) / temperature).softmax(dim=1)


def penalty_entropy(negatives: Any, temperature: float, alpha: float | None = None) -> Tensor:
    """Entropy ``(N,)`` in nats of `relative_penalty`; ``exp`` of it counts effective negatives.

    It grows with the temperature, up to ``log M`` (reached at once when all similarities of an
    anchor are equal). Arguments, errors and source as for `relative_penalty`.
    """
    entropies: Tensor = torch.special.entr(relative_penalty(negatives, temperature, alpha))
    return entropies.sum(dim=1)


def push_of_hardest(negatives: Any, temperature: float, fractions: Sequence[float]) -> Tensor:
    """Share of the push that the hardest negatives of an anchor receive, mean over anchors.

    Args:
        negatives: similarities ``(N, M)``.
        temperature: above 0.
        fractions: of the negatives, each in (0, 1]; at least one negative counts.

    Returns:
        One share in (0, 1] a fraction.

    Errors and source as for `relative_penalty`.
    """
    if not all(0 < fraction <= 1 for fraction in fractions):
        raise SettingError(f"fractions must lie in (0, 1], got {list(fractions)}.")
    shares = relative_penalty(negatives, temperature).sort(dim=1, descending=True).values
    cumulative = shares.mean(dim=0).cumsum(0)
    counts = [max(1, round(fraction * shares.shape[1])) for fraction in fractions]
    return cumulative[[count - 1 for count in counts]]


def pull(positive: Any, negatives: Any, temperature: float) -> Tensor:
    """``1 - p_i`` ``(N,)``: the gradient of InfoNCE on the positive score, times the temperature.

    ``p_i`` is the softmax probability of the positive among it and the negatives; the push on all
    negatives together is as large.

    Args:
        positive: similarities ``(N,)``.
        negatives: similarities ``(N, M)``.
        temperature: above 0.

    Errors and source as for `relative_penalty`.
    """
    if not temperature > 0:
        raise SettingError(f"temperature must be above 0, got {temperature}.")
    s = rows(negatives, "negatives", at_least=1)
    own = torch.as_tensor(positive, dtype=s.dtype, device=s.device)
    if own.shape != s.shape[:1]:
        raise DataError(f"positive has shape {tuple(own.shape)} for {len(s)} rows of negatives.")
    p: Tensor = (torch.cat([own[:, None], s], 1) / temperature).softmax(dim=1)[:, 0]
    return 1 - p


def _hardest(s: Tensor, alpha: float | None) -> Tensor:
    if alpha is None:
        return s
    if not 0 < alpha <= 1:
        raise SettingError(f"alpha must lie in (0, 1], got {alpha}.")
    kept = s.topk(max(1, math.ceil(alpha * s.shape[1] - 1e-9)), dim=1)
    return torch.full_like(s, -math.inf).scatter(1, kept.indices, kept.values)
