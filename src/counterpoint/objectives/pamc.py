"""PamC: neighbours attract along the edges of a graph, its clusters repel as single meta-nodes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from counterpoint.engine.checks import Temperature, check_not_negative, inverse_temperature, prepare
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Terms
from counterpoint.errors import DataError
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.soft_assignment import log_membership, log_target, meta_nodes

SOURCE = (
    "Kulatilleke et al. 2022, Efficient block contrastive learning via parameter-free meta-node "
    "approximation, arXiv 2209.14067"
)
ACROSS_RANKS = "a rank holds the whole graph, or one of its own; ranks average it"
TINY = 1e-10
"""Added to both sums inside their logarithm by the authors."""


@objective(inputs="graph", across_ranks=ACROSS_RANKS, source=SOURCE)
def pamc(
    z: Tensor,
    centres: Tensor,
    influence: Tensor,
    temperature: float = 2.0,
    *,
    alpha: float = 2.0,
    beta: float = 2.0,
    freedom: float = 1.0,
    soft: bool = False,
) -> Tensor:
    """``alpha L(z) + beta KL(p || q)``: `meta_node_contrast` and `cluster_divergence`.

    The clusters of the meta-nodes are those of the nearest centres.

    Args:
        z: embeddings of all nodes, not normalised, float ``(N, D)``.
        centres: trainable, started by k-means on z, float ``(K, D)``.
        influence: constant, sparse or dense ``(N, N)``, see `counterpoint.pairs.influence`.
        temperature: positive; the paper multiplies by its tau, this is 1 / tau.
        alpha: weight of the contrast, not negative.
        beta: weight of the divergence, not negative; below alpha the clusters drift.
        freedom: of Student's distribution.
        soft: meta-nodes weighed by the membership (the paper's abstract) instead of the largest.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings or influence that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Kulatilleke et al. 2022, PamC, arXiv 2209.14067.
    """
    check_not_negative(alpha=alpha, beta=beta)
    log_q = log_membership(z, centres, freedom=freedom)
    assignment = log_q.detach().exp() if soft else log_q.argmax(1)
    contrast = meta_node_contrast(z, assignment, influence, temperature)
    return alpha * contrast + beta * _divergence(log_q)


@objective(inputs="graph", across_ranks=ACROSS_RANKS, source=SOURCE)
def meta_node_contrast(
    z: Tensor, assignment: Tensor, influence: Tensor, temperature: Temperature = 2.0
) -> Tensor:
    """``-mean_i log(sum_j G_ij e^(s_ij / t) + 1e-10) + mean_a log(sum_b e^(s_ab / t) + 1e-10)``.

    s is the cosine, of nodes i, j and of meta-nodes a, b (sums of the members of a cluster), and 0
    of a row with itself, so that the own terms are ``G_ii`` and 1. Costs the edges and the square
    of the number of clusters. Sums and means of members give the same loss.

    Args:
        z: embeddings of all nodes, float ``(N, D)``.
        assignment: cluster of every node, int64 ``(N,)``, or its shares, float ``(N, K)``; no
            gradient. Empty clusters take no part.
        influence: G, constant, not negative, sparse or dense ``(N, N)``.
        temperature: positive; a number or a learnable scalar.

    Returns:
        ``()``. With one cluster the second term is ``log(1 + 1e-10)``.

    Raises:
        DataError: embeddings, assignment or influence that do not fit, NaN, infinity.
        SettingError: temperature out of range.

    Source: Kulatilleke et al. 2022, PamC, arXiv 2209.14067.
    """
    (z,) = prepare(False, z=z)
    scale = inverse_temperature(temperature, 1, z)
    repulsion = _repulsion(meta_nodes(z, assignment), scale)
    return repulsion - _attraction(z, influence, scale).mean()


@objective(inputs="graph", across_ranks=ACROSS_RANKS, source=SOURCE)
def n_contrast(z: Tensor, influence: Tensor, temperature: Temperature = 2.0) -> Tensor:
    """``-mean_i log(sum_j G_ij e^(s_ij / t) + 1e-10) + mean_i log(sum_j e^(s_ij / t) + 1e-10)``.

    What `meta_node_contrast` approximates: every node repels every other.

    Args:
        z: embeddings of all nodes, float ``(N, D)``.
        influence: G, constant, not negative, sparse or dense ``(N, N)``.
        temperature: positive; a number or a learnable scalar.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings or influence that do not fit, NaN, infinity.
        SettingError: temperature out of range.

    Source: Kulatilleke et al. 2022, PamC, arXiv 2209.14067.
    """
    (z,) = prepare(False, z=z)
    scale = inverse_temperature(temperature, 1, z)
    return _repulsion(z, scale) - _attraction(z, influence, scale).mean()


def cluster_divergence(z: Tensor, centres: Tensor, *, freedom: float = 1.0) -> Tensor:
    """``mean_i sum_k p_ik log(p_ik / q_ik)``, q the membership, p its sharpened, constant target.

    Arguments as `pamc`.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: freedom not above 0.

    Source: Xie et al. 2016, Deep Embedded Clustering; PamC, arXiv 2209.14067.
    """
    return _divergence(log_membership(z, centres, freedom=freedom))


def _divergence(log_q: Tensor) -> Tensor:
    log_p = log_target(log_q)
    return (log_p.exp() * (log_p - log_q)).sum(1).mean()


def _repulsion(rows: Tensor, scale: Tensor) -> Tensor:
    (unit,) = prepare(True, rows=rows)
    own = unit.new_full((len(unit), 1), math.log1p(TINY))
    loss, _ = one_way(unit, unit, scale, Terms(excluded=(0,)), extra=own)
    return loss


def _attraction(z: Tensor, influence: Tensor, scale: Tensor) -> Tensor:
    """``log(sum_j G_ij e^(s_ij / t) + 1e-10)`` of every node, over the stored entries."""
    (row, column), weights = _entries(influence, z)
    (unit,) = prepare(True, z=z)
    cosine = (unit[row] * unit[column]).sum(1).where(row != column, 0.0)
    logits = scale * cosine + weights.log()
    floor = logits.new_full((len(z),), math.log(TINY))
    highest = floor.scatter_reduce(0, row, logits.detach(), "amax")
    sums = (floor - highest).exp().index_add(0, row, (logits - highest[row]).exp())
    total: Tensor = sums.log() + highest
    return total


def _entries(influence: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    if influence.shape != (len(z), len(z)):
        raise DataError(f"influence must be ({len(z)}, {len(z)}), got {tuple(influence.shape)}.")
    influence = influence.detach()
    entries = (influence if influence.is_sparse else influence.to_sparse()).coalesce()
    weights = entries.values().to(z.dtype)
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
        raise DataError("influence must be finite and not negative.")
    kept = weights > 0
    return entries.indices()[:, kept], weights[kept]


class PamC(Loss, function=pamc):
    """`counterpoint.objectives.functional.pamc` as a module."""

    def __init__(
        self,
        temperature: float = 2.0,
        *,
        alpha: float = 2.0,
        beta: float = 2.0,
        freedom: float = 1.0,
        soft: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature, alpha=alpha, beta=beta, freedom=freedom, soft=soft
        )

    def forward(self, z: Tensor, centres: Tensor, influence: Tensor) -> Tensor:
        return self.call(z, centres, influence)


class MetaNodeContrast(Loss, function=meta_node_contrast):
    """`counterpoint.objectives.functional.meta_node_contrast` as a module."""

    def __init__(self, temperature: Temperature = 2.0) -> None:
        super().__init__(temperature=temperature)

    def forward(self, z: Tensor, assignment: Tensor, influence: Tensor) -> Tensor:
        return self.call(z, assignment, influence)


class NContrast(Loss, function=n_contrast):
    """`counterpoint.objectives.functional.n_contrast` as a module."""

    def __init__(self, temperature: Temperature = 2.0) -> None:
        super().__init__(temperature=temperature)

    def forward(self, z: Tensor, influence: Tensor) -> Tensor:
        return self.call(z, influence)
