"""Positives weighted by how similar two rows are in another, fixed space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.engine.checks import check_finite
from counterpoint.engine.moments import bilinear, cross_moment
from counterpoint.engine.ranks import total_over_ranks
from counterpoint.engine.similarity import upcast
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
        self.anchors = _directions(anchor_features)
        self.candidates = (
            self.anchors if candidate_features is None else _directions(candidate_features)
        )

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        anchors, candidates = self.anchors.rows(i[:, 0]), self.candidates.rows(j[0])
        return (anchors @ candidates.T).add_(1).mul_(0.5)

    def attraction(self, candidates: Tensor, across_ranks: bool = False) -> tuple[Tensor, Tensor]:
        """Weighted mean of all candidates, from a ``(Dr, D)`` matrix and the sum of all."""
        moment, middle, mass = self._moments(candidates, across_ranks)
        own = self.anchors
        features = own.features.to(candidates.dtype) * own.inverse.to(candidates.dtype)[:, None]
        return (features @ moment + middle) / mass[:, None], torch.ones_like(mass, dtype=torch.bool)

    def mean_similarity(
        self, anchors: Tensor, candidates: Tensor, across_ranks: bool = False
    ) -> Tensor:
        """``sum_j w_ij <a_i, c_j> / sum_j w_ij`` ``(N,)``, without the means of `attraction`."""
        moment, middle, mass = self._moments(candidates, across_ranks)
        own = bilinear(self.anchors.features, self.anchors.inverse, moment, anchors)
        return (own + anchors @ middle) / mass

    def _moments(self, candidates: Tensor, across_ranks: bool) -> tuple[Tensor, Tensor, Tensor]:
        """``sum_j r_j c_jᵀ / 2`` of unit features, ``sum_j c_j / 2``, and the summed weights."""
        features, inverse = self.candidates.features, self.candidates.inverse
        sums = [
            cross_moment(features, inverse, candidates) / 2,
            candidates.sum(0) / 2,
            (features.T @ inverse).to(candidates.dtype) / 2,
            candidates.new_tensor(len(candidates) / 2),
        ]
        if across_ranks:
            sums = [total_over_ranks(each) for each in sums]
        moment, middle, total, count = sums
        own = self.anchors
        along = own.features.to(candidates.dtype) @ total * own.inverse.to(candidates.dtype)
        return moment, middle, along + count + TINY


@dataclass(frozen=True)
class _Directions:
    """Features ``(N, F)`` and one over their lengths ``(N,)``, whose product is never held."""

    features: Tensor
    inverse: Tensor

    def rows(self, index: Tensor) -> Tensor:
        return self.features[index] * self.inverse[index, None]


def _directions(features: Tensor) -> _Directions:
    if not features.is_floating_point() or features.dim() not in (2, 3):
        raise DataError(
            "The features that weigh the pairs must be floats of shape (N, Dr) or (N, C, Dr), not "
            f"{features.dtype} of shape {tuple(features.shape)}."
        )
    check_finite(**{"similarity, whose features weigh the pairs,": features})
    features = upcast(features.detach())
    inverse = 1 / (torch.linalg.vector_norm(features, dim=-1) + TINY)
    if features.dim() == 2:
        return _Directions(features, inverse)
    unit, parts = (features * inverse[..., None]).flatten(1), features.shape[1]
    return _Directions(unit, unit.new_full((len(unit),), parts**-0.5))
