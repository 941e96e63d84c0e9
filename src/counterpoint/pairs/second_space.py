"""Positives weighted by how similar two rows are in another, fixed space."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.ranks import total_over_ranks
from counterpoint.errors import DataError

TINY = 1e-8


class SecondSpace:
    """``w_ij = (1 + cos(r_i, r_j)) / 2``, in [0, 1], without gradient.

    Args:
        anchor_features: ``r`` of the anchors, float ``(N, Dr)``, or ``(N, C, Dr)`` for the mean of
            C cosines.
        candidate_features: the same of the candidates; None for the anchors'.

    Raises:
        DataError: not float, another number of dimensions, NaN or infinity.

    Source: Srinivasa et al. 2023, CWCL, arXiv 2309.14580; 1e-8 is added to every norm and to every
    sum of weights.
    """

    def __init__(self, anchor_features: Tensor, candidate_features: Tensor | None = None) -> None:
        self.anchors = _lifted(anchor_features)
        self.candidates = (
            self.anchors if candidate_features is None else _lifted(candidate_features)
        )

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        return (self.anchors[i[:, 0]] @ self.candidates[j[0]].T).mul_(0.5)

    def attraction(self, candidates: Tensor, across_ranks: bool = False) -> tuple[Tensor, Tensor]:
        """Weighted mean of all candidates, from a ``(Dr + 1, D)`` matrix."""
        features, cross, mass = self._moments(candidates, across_ranks)
        return features @ cross / mass[:, None], torch.ones_like(mass, dtype=torch.bool)

    def mean_similarity(
        self, anchors: Tensor, candidates: Tensor, across_ranks: bool = False
    ) -> Tensor:
        """``sum_j w_ij <a_i, c_j> / sum_j w_ij`` ``(N,)``, without the means of `attraction`."""
        features, cross, mass = self._moments(candidates, across_ranks)
        similarity: Tensor = torch.linalg.vecdot(anchors @ cross.T, features)
        return similarity / mass

    def _moments(self, candidates: Tensor, across_ranks: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the anchors, ``sum_j r_j c_jᵀ / 2``, and the summed weights."""
        features = self.candidates.to(candidates.dtype)
        cross, total = features.T @ candidates / 2, features.sum(0) / 2
        if across_ranks:
            cross, total = total_over_ranks(cross), total_over_ranks(total)
        features = self.anchors.to(candidates.dtype)
        return features, cross, features @ total + TINY


def _lifted(features: Tensor) -> Tensor:
    """Unit rows with a 1 behind, so that ``<r_i, r_j> = 1 + cos``."""
    unit = _unit_features(features)
    return torch.cat([unit, torch.ones_like(unit[:, :1])], 1)


def _unit_features(features: Tensor) -> Tensor:
    if not features.is_floating_point() or features.dim() not in (2, 3):
        raise DataError(
            "The features that weigh the pairs must be floats of shape (N, Dr) or (N, C, Dr), not "
            f"{features.dtype} of shape {tuple(features.shape)}."
        )
    if not bool(torch.isfinite(features).all()):
        raise DataError("The features that weigh the pairs hold NaN or infinity.")
    features = features.detach()
    if features.dtype not in (torch.float32, torch.float64):
        features = features.float()
    unit: Tensor = features / (torch.linalg.vector_norm(features, dim=-1, keepdim=True) + TINY)
    return unit if unit.dim() == 2 else unit.flatten(1) / unit.shape[1] ** 0.5
