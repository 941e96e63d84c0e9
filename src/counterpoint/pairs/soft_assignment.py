"""Clusters with trainable centres: soft membership, the target that sharpens it, meta-nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers, prepare
from counterpoint.errors import DataError, SettingError


def log_membership(z: Tensor, centres: Tensor, *, freedom: float = 1.0) -> Tensor:
    """``log q_ik``, ``q_ik ~ (1 + |z_i - mu_k|^2 / v)^(-(v + 1) / 2)``, to sum 1 over k.

    Args:
        z: embeddings, not normalised, float ``(N, D)``.
        centres: mu, float ``(K, D)``.
        freedom: v of Student's distribution, above 0.

    Returns:
        ``(N, K)``.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: freedom not above 0.

    Source: Xie et al. 2016, Deep Embedded Clustering; Kulatilleke et al., "PamC",
    arXiv 2209.14067.
    """
    if not freedom > 0:
        raise SettingError(f"freedom must be above 0, got {freedom}.")
    z, centres = prepare(False, z=z, centres=centres)
    distance = torch.cdist(z, centres, compute_mode="donot_use_mm_for_euclid_dist")
    return (torch.log1p(distance.square() / freedom) * (-(freedom + 1) / 2)).log_softmax(1)


@torch.no_grad()
def log_target(log_q: Tensor) -> Tensor:
    """``log p_ik``, ``p_ik ~ q_ik^2 / sum_i q_ik``, to sum 1 over k; a constant.

    Args:
        log_q: of `log_membership`, ``(N, K)``.

    Source: Xie et al. 2016, Deep Embedded Clustering; Kulatilleke et al., "PamC",
    arXiv 2209.14067.
    """
    return (2 * log_q - log_q.logsumexp(0)).log_softmax(1)


def meta_nodes(z: Tensor, assignment: Tensor) -> Tensor:
    """``m_k = sum_i a_ik z_i``: one vector a cluster, with gradient to z alone.

    Args:
        z: float ``(N, D)``.
        assignment: cluster of every row, int64 ``(N,)``, not negative; or its share in each
            cluster, float ``(N, K)``, not negative.

    Returns:
        ``(K', D)``, of the clusters that have a member, in order.

    Raises:
        DataError: an assignment that does not fit.

    Source: Kulatilleke et al., "PamC", arXiv 2209.14067.
    """
    if assignment.is_floating_point():
        return _weighted_sums(z, assignment.detach().to(z.dtype))
    assignment = check_integers("assignment", assignment, len(z))
    if bool((assignment < 0).any()):
        raise DataError("assignment must hold clusters from 0 on.")
    clusters, place = torch.unique(assignment, return_inverse=True)
    return z.new_zeros(len(clusters), z.shape[1]).index_add(0, place, z)


def _weighted_sums(z: Tensor, shares: Tensor) -> Tensor:
    if shares.dim() != 2 or len(shares) != len(z):
        raise DataError(f"shares must be ({len(z)}, K), got {tuple(shares.shape)}.")
    if not bool((torch.isfinite(shares) & (shares >= 0)).all()):
        raise DataError("shares must be finite and not negative.")
    return shares[:, shares.sum(0) > 0].T @ z
