"""OpTA: few-shot prototypes moved onto the unlabelled queries by optimal transport."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.sinkhorn import transport_plan


def standardise(features: Tensor) -> Tensor:
    """Every row ``(N, D)`` less its mean, divided by its unbiased standard deviation.

    Source: Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR, arXiv 2402.02444.
    """
    spread = features.std(1, keepdim=True)
    return (features - features.mean(1, keepdim=True)) / spread.where(spread > 0, 1.0)


@torch.no_grad()
def transported_prototypes(
    support: Tensor,
    queries: Tensor,
    *,
    shots: int = 1,
    passes: int | None = None,
    mix: float = 0.7,
    epsilon: float = 0.05,
    iterations: int = 1000,
    threshold: float = 1e-4,
) -> Tensor:
    """Class prototypes as transport-weighted means of the queries, which must be balanced.

    The cost is the squared distance over its maximum. With more than one shot the result is
    ``mix S' + (1 - mix) S``. Fit any linear classifier on the result; transductive, so the whole
    query set is needed.

    Args:
        support: class means of the labelled samples S, float ``(W, D)``.
        queries: float ``(n, D)``.
        shots: labelled samples a class.
        passes: repetitions; None takes 5 for one shot and 1 for more.
        mix: share of the transported prototypes for more than one shot, in [0, 1].
        epsilon: weight of the entropy, above 0.
        iterations: of every transport, see `transport_plan`.
        threshold: of every transport, see `transport_plan`.

    Returns:
        ``(W, D)``; the support itself where all points are equal.

    Raises:
        DataError: features that do not fit.
        SettingError: a setting out of range.

    Source: Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR, arXiv 2402.02444.
    """
    if support.dim() != 2 or queries.dim() != 2 or support.shape[1] != queries.shape[1]:
        raise DataError(
            f"support and queries must be (W, D) and (n, D), not {tuple(support.shape)} and "
            f"{tuple(queries.shape)}."
        )
    passes = (5 if shots == 1 else 1) if passes is None else passes
    if shots < 1 or passes < 0 or not 0 <= mix <= 1:
        raise SettingError("shots must be at least 1, passes at least 0, mix in [0, 1].")
    moved = support
    for _ in range(passes):
        cost = (moved[:, None] - queries).square().sum(2)
        if cost.max() == 0:
            break
        plan = transport_plan(
            cost / cost.max(), epsilon, iterations=iterations, threshold=threshold
        )
        moved = (plan / plan.sum(1, keepdim=True)) @ queries
    return moved if shots == 1 else mix * moved + (1 - mix) * support
