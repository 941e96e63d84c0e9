"""Clusters as classes of samples: centres by k-means, and their renewal under the old numbers."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from counterpoint.engine.checks import prepare
from counterpoint.engine.similarity import unit_rows
from counterpoint.errors import DataError, require
from counterpoint.threads import one_library_thread


@torch.no_grad()
def cluster_centres(features: Tensor, clusters: int, *, seed: int = 0) -> Tensor:
    """Centres of one k-means run on rows of unit length; not normalised.

    `counterpoint.pairs.classes.nearest_classes` makes them the classes of samples. Where rows have
    fewer distinct directions than there are clusters, some centres are equal: of these the first
    has the members, the others are nobody's nearest.

    Args:
        features: float ``(N, D)``.
        clusters: k, at most N.
        seed: of k-means.

    Returns:
        ``(k, D)``.

    Raises:
        DataError: features that do not fit, NaN, infinity; fewer samples than clusters.

    Source: An et al. 2024, Multi-label Cluster Discrimination, arXiv 2407.17331.
    """
    (features,) = prepare(False, features=features)
    if len(features) < clusters:
        raise DataError(f"{len(features)} samples cannot make {clusters} clusters; set fewer.")
    k_means = require("sklearn.cluster", "probe").KMeans
    with one_library_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Number of distinct clusters")
        found = k_means(clusters, n_init=1, random_state=seed).fit(
            unit_rows(features).cpu().numpy()
        )
    return torch.as_tensor(found.cluster_centers_).to(features)


@torch.no_grad()
def renumbered(labels: Tensor, earlier: Tensor, clusters: int) -> Tensor:
    """New labels under the numbers of the earlier clusters that hold most of the same samples.

    The pairing of new and old clusters is the one with the most common memberships in all.

    Args:
        labels: int64 ``(N, l)``, 0 .. clusters - 1.
        earlier: of the same samples, likewise.
        clusters: k.

    Returns:
        int64 ``(N, l)``.

    Raises:
        DataError: labels of different samples.
    """
    if labels.shape != earlier.shape:
        raise DataError(
            f"Both must be labels of the same samples, not {tuple(labels.shape)} and "
            f"{tuple(earlier.shape)}."
        )
    own, before = labels[:, :, None], earlier[:, None, :]
    both = (own * clusters + before).flatten()
    common = torch.bincount(both, minlength=clusters * clusters).view(clusters, clusters)
    assign = require("scipy.optimize", "probe").linear_sum_assignment
    _, numbers = assign(common.cpu().numpy(), maximize=True)
    return torch.as_tensor(numbers).to(labels)[labels]
