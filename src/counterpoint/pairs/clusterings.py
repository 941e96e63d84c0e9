"""Several clusterings of one set: whom they hold together, and prototypes with their spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.engine.checks import prepare
from counterpoint.engine.similarity import unit_rows
from counterpoint.errors import DataError, SettingError

Nearness = Literal["inner", "l2"]


@dataclass(frozen=True)
class Apart:
    """``weight(i, j)``: how many of M clusterings hold the two in different clusters, 0 .. M.

    Args:
        clusters: int64 ``(M, N)``, the cluster of every sample in each clustering.

    Raises:
        DataError: another shape, or not integers.

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847.
    """

    clusters: Tensor

    def __post_init__(self) -> None:
        if self.clusters.dim() != 2 or self.clusters.is_floating_point():
            raise DataError(
                f"clusters must be int64 (M, N), got {self.clusters.dtype} "
                f"{tuple(self.clusters.shape)}."
            )

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        count = torch.zeros(i.shape[0], j.shape[1], device=i.device)
        for clustering in self.clusters:
            count += clustering[i] != clustering[j]
        return count


@dataclass(frozen=True)
class Prototypes:
    """One clustering as prototypes; constants.

    Attributes:
        clusters: of every sample, int64 ``(N,)``.
        directions: unit prototypes ``(K, D)``.
        temperature: density of every cluster ``(K,)``, wide ones high.
    """

    clusters: Tensor
    directions: Tensor
    temperature: Tensor


@torch.no_grad()
def prototypes(
    z: Tensor, centroids: Tensor, temperature: float, *, nearness: Nearness = "inner"
) -> Prototypes:
    """Assignment of samples to given centroids, e.g. of k-means, and the density of each cluster.

    ``phi_k = mean_{i in k} sqrt(v_i) / log(n_k + 5)``; clusters of at most one member take the
    largest; clipped to the 10th and 90th percentile over clusters and scaled to the mean t.

    Args:
        z: unit rows, float ``(N, D)``.
        centroids: not normalised, float ``(K, D)``.
        temperature: t, above 0.
        nearness: ``"inner"``, authors' code: v is the inner product with the nearest centroid, at
            least 0; ``"l2"``, PCL and the paper: the squared distance to it.

    Returns:
        `Prototypes`. Densities are t where no cluster has two members or all would be 0; a single
        density of 0 becomes the smallest of the others.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847; Li et al. 2021, PCL.
    """
    if nearness not in get_args(Nearness):
        raise SettingError(f"nearness must be one of {get_args(Nearness)}, not {nearness!r}.")
    if not (math.isfinite(temperature) and temperature > 0):
        raise SettingError(f"temperature must be a positive number, not {temperature}.")
    z, centroids = prepare(False, z=z, centroids=centroids)
    if nearness == "inner":
        values, clusters = (z @ centroids.T).max(1)
        spread = values.clamp(min=0).sqrt()
    else:
        gaps = torch.cdist(z, centroids, compute_mode="donot_use_mm_for_euclid_dist")
        spread, clusters = gaps.min(1)
    phi = _densities(spread, clusters, len(centroids), temperature)
    return Prototypes(clusters, unit_rows(centroids), phi)


def _densities(spread: Tensor, clusters: Tensor, count: int, temperature: float) -> Tensor:
    sizes = torch.bincount(clusters, minlength=count)
    total = spread.new_zeros(count).index_add(0, clusters, spread)
    phi = total / sizes.clamp(min=1) / (sizes.to(total) + 5).log()
    phi = phi.where(sizes > 1, 0.0)
    phi = phi.where(sizes > 1, phi.max())
    phi = phi.clamp(*torch.quantile(phi, phi.new_tensor([0.1, 0.9])))
    if not bool((phi > 0).any()):
        return torch.full_like(phi, temperature)
    phi = temperature * phi / phi.mean()
    return phi.clamp(min=phi[phi > 0].min())
