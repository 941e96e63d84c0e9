"""Soft labels from a kernel density estimate over the neighbours.

Source: Shu, "Pre-trained Language Models as Re-Annotators", arXiv 2205.05368 (2022); a
reconstruction, since only the abstract could be read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from counterpoint.curation.credibility import Neighbours, on_simplex, summed
from counterpoint.errors import SettingError
from counterpoint.probes.inputs import Floats


def bandwidth(near: Neighbours, factor: float = 0.35, k: int = 10) -> float:
    """``factor * median_i |z_i - z_(k-th neighbour of i)|`` of unit vectors, at least 1e-6.

    Args:
        near: neighbours; the last one stands in where there are fewer than ``k``.
        factor: above 0.
        k: which neighbour, from 1.
    """
    if not factor > 0 or k < 1:
        raise SettingError(f"bandwidth needs factor > 0 and k >= 1; got {factor} and {k}.")
    cosine = near.similarity[:, min(k, near.similarity.shape[1]) - 1]
    distance = np.sqrt(np.maximum(2 - 2 * cosine, 0))
    return max(1e-6, factor * float(np.median(distance)))


def kernel_density(
    near: Neighbours,
    targets: Floats,
    h: float,
    *,
    uniform_prior: bool = False,
    without: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
) -> Floats:
    """``q_i(c) = pi_c f_i(c) / sum_c' ...``, ``f_i(c)`` the mean of ``exp((s_ij - 1) / h^2)``.

    With the empirical prior ``pi_c`` this is the share of the kernel mass that class c holds. The
    sum runs over the given neighbours, the row itself left out; the largest exponent is taken off
    first, so that no bandwidth underflows.

    Args:
        near: neighbours of N rows of unit length.
        targets: ``(M, C)``, rows on the simplex: the label of each neighbour.
        h: bandwidth, above 0.
        uniform_prior: leave out ``pi_c``, so that rare classes count as much as frequent ones.
        without: bool ``(M,)``, neighbours that do not count.

    Returns:
        ``(N, C)``, rows on the simplex; uniform where no neighbour counts.
    """
    if not h > 0:
        raise SettingError(f"h must be above 0; got {h}.")
    exponent = (near.similarity - 1) / h**2
    if without is not None:
        exponent = np.where(without[near.index], -np.inf, exponent)
    top = exponent.max(axis=1, keepdims=True)
    kernel = np.exp(exponent - np.where(np.isfinite(top), top, 0))
    mass = summed(kernel, near.index, targets)
    if uniform_prior:
        counted = targets if without is None else targets[~without]
        size = counted.sum(axis=0)
        mass = mass / np.where(size > 0, size, 1)
    return on_simplex(mass)


def soft_targets(labels: Floats, density: Floats, credibility: Floats) -> Floats:
    """``t_i = cred_i y_i + (1 - cred_i) q_i``: credible labels stay, doubtful ones soften.

    Args:
        labels: given labels ``(N, C)``, rows on the simplex.
        density: ``(N, C)``, as of `kernel_density`.
        credibility: ``(N,)``, in [0, 1].
    """
    trust = credibility[:, None]
    return trust * labels + (1 - trust) * density
