"""Balanced assignment and optimal transport by Sinkhorn's iterations, in logarithms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from counterpoint.engine.rows import softmax_rows
from counterpoint.engine.terms import Terms
from counterpoint.errors import DataError, SettingError


def balanced_assignment(scores: Tensor, epsilon: float = 0.05, iterations: int = 10) -> Tensor:
    """Soft assignment of samples to prototypes in which every prototype gets an equal share.

    ``exp(scores / epsilon)``, scaled in turn so that every prototype has mass 1 / K and every
    sample 1 / B, ending with the samples. LARGER scores are preferred: pass similarities or MINUS
    distances.

    Args:
        scores: float ``(B, K)``, finite.
        epsilon: above 0; smaller is closer to a hard assignment.
        iterations: at least 1.

    Returns:
        ``(B, K)``, rows summing to 1.

    Raises:
        DataError: scores that are no finite matrix.
        SettingError: epsilon or iterations out of range.

    Source: Caron et al. 2020, SwAV; as used by Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR,
    arXiv 2402.02444.
    """
    _check(scores, epsilon, iterations)
    log_plan = scores / epsilon
    samples, prototypes = scores.shape
    for _ in range(iterations):
        log_plan = log_plan - log_plan.logsumexp(0, keepdim=True) - math.log(prototypes)
        log_plan = log_plan - log_plan.logsumexp(1, keepdim=True) - math.log(samples)
    return (log_plan + math.log(samples)).exp()


@torch.no_grad()
def balancing_offsets(
    samples: Tensor, prototypes: Tensor, epsilon: float = 0.05, iterations: int = 10
) -> Tensor:
    """``w`` with ``softmax_j(<a_i, c_j> / epsilon + w_j)`` the balanced assignment of ``<a, c>``.

    The B x K scores are never held: an assignment to as many prototypes as samples stays linear.

    Args:
        samples: a, float ``(B, D)``, as they are.
        prototypes: c, same dtype ``(K, D)``.
        epsilon: as `balanced_assignment`.
        iterations: as `balanced_assignment`.

    Returns:
        ``(K,)``, without gradient.

    Raises:
        DataError: rows that are no finite matrix.
        SettingError: epsilon or iterations out of range.

    Source: as `balanced_assignment`.
    """
    for rows in (samples, prototypes):
        _check(rows, epsilon, iterations)
    scale = samples.new_tensor(1 / epsilon)

    def log_sums(rows: Tensor, columns: Tensor, offsets: Tensor) -> Tensor:
        anchors = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
        candidates = torch.cat([columns, epsilon * offsets[:, None]], 1)
        return softmax_rows(anchors, candidates, scale, Terms()).values

    of_samples, of_prototypes = torch.zeros_like(samples[:, 0]), torch.zeros_like(prototypes[:, 0])
    for _ in range(iterations):
        of_prototypes = -log_sums(prototypes, samples, of_samples) - math.log(len(prototypes))
        of_samples = -log_sums(samples, prototypes, of_prototypes) - math.log(len(samples))
    return of_prototypes


def transport_plan(
    cost: Tensor, epsilon: float = 0.05, *, iterations: int = 1000, threshold: float = 1e-4
) -> Tensor:
    """Entropic transport plan between uniform marginals; SMALLER costs are preferred.

    Args:
        cost: float ``(W, n)``, finite; bring it to a scale of 1 first.
        epsilon: above 0, weight of the entropy.
        iterations: at most, at least 1.
        threshold: stops once the potentials of the rows move by less in sum.

    Returns:
        ``(W, n)``, summing to about 1.

    Raises:
        DataError: costs that are no finite matrix.
        SettingError: epsilon or iterations out of range.

    Source: Cuturi 2013; as used by BECLR, arXiv 2402.02444, with log(marginal + 1e-8).
    """
    _check(cost, epsilon, iterations)
    rows, columns = cost.shape
    log_row, log_column = math.log(1 / rows + 1e-8), math.log(1 / columns + 1e-8)
    u, v = cost.new_zeros(rows, 1), cost.new_zeros(1, columns)
    for _ in range(iterations):
        before = u
        u = u + epsilon * (log_row - ((u + v - cost) / epsilon).logsumexp(1, keepdim=True))
        v = v + epsilon * (log_column - ((u + v - cost) / epsilon).logsumexp(0, keepdim=True))
        if (u - before).abs().sum() < threshold:
            break
    plan: Tensor = ((u + v - cost) / epsilon).exp()
    return plan


def _check(matrix: Tensor, epsilon: float, iterations: int) -> None:
    if matrix.dim() != 2 or matrix.numel() == 0 or not bool(torch.isfinite(matrix).all()):
        raise DataError(
            f"A finite matrix is needed, not {tuple(matrix.shape)} with NaN or infinity."
        )
    if not epsilon > 0 or iterations < 1:
        raise SettingError(
            f"epsilon must be above 0 and iterations at least 1, not {epsilon}, {iterations}."
        )
