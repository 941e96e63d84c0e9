"""Credibility of a label: how many of its neighbours carry it too.

Source: Shu, "Pre-trained Language Models as Re-Annotators", arXiv 2205.05368 (2022); a
reconstruction, since only the abstract could be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from counterpoint.errors import SettingError
from counterpoint.probes.inputs import Floats, Ints, features
from counterpoint.probes.neighbours import neighbours
from counterpoint.probes.scaling import unit_length


@dataclass(frozen=True)
class Neighbours:
    """The most similar other rows of each row.

    Attributes:
        similarity: cosines ``(N, K)``, falling along each row.
        index: rows ``(N, K)``, integers.
    """

    similarity: np.ndarray[Any, Any]
    index: np.ndarray[Any, Any]

    def __getitem__(self, rows: Any) -> Neighbours:
        """Those of some rows."""
        return Neighbours(self.similarity[rows], self.index[rows])


def centred(embeddings: Any, mean: Floats | None = None) -> Floats:
    """``(z - mean) / |z - mean|``: without the direction that all rows share, of length 1.

    Args:
        embeddings: ``(N, D)``, finite.
        mean: ``(D,)``; that of the rows themselves unless given.
    """
    z = features(embeddings, "embeddings")
    return unit_length(z - (z.mean(axis=0) if mean is None else mean))


def nearest(z: Floats, k: int = 50) -> Neighbours:
    """The ``min(k, N - 1)`` other rows most similar to each row of ``z`` ``(N, D)``."""
    similarity, index = neighbours(z, z, max(1, min(k, len(z) - 1)), exclude_same_row=True)
    return Neighbours(similarity.astype(np.float64), index)


def label_shares(
    near: Neighbours,
    targets: Floats,
    *,
    temperature: float | None = 0.1,
    gamma: float = 0.0,
    without: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
) -> Floats:
    """Labels of a row's neighbours, ``p_i(c) = sum_j w_ij t_j(c) pi_c^-g / sum_c' ...``.

    ``w_ij = exp((s_ij - max_j s_ij) / temperature)``.

    Args:
        near: neighbours of N rows.
        targets: ``(M, C)``, rows on the simplex: the label of each neighbour, one-hot or soft.
        temperature: divides the cosine, above 0; None weighs all neighbours alike.
        gamma: how far frequent classes are held back, in [0, 1].
        without: bool ``(M,)``, neighbours that do not count.

    Returns:
        ``(N, C)``, rows on the simplex; uniform where no neighbour counts.
    """
    if temperature is not None and not temperature > 0:
        raise SettingError(f"temperature must be above 0; got {temperature}.")
    if not 0 <= gamma <= 1:
        raise SettingError(f"gamma must lie in [0, 1]; got {gamma}.")
    weight = np.ones_like(near.similarity)
    if temperature is not None:
        weight = np.exp((near.similarity - near.similarity[:, :1]) / temperature)
    if without is not None:
        weight = weight * ~without[near.index]
    return on_simplex(summed(weight, near.index, targets) * _held_back(targets, gamma))


def credibility(shares: Floats, labels: Ints) -> Floats:
    """``p_i(y_i)``, in [0, 1]."""
    own: Floats = shares[np.arange(len(labels)), labels]
    return own


def margin(shares: Floats, labels: Ints) -> Floats:
    """``p_i(y_i) - max_{c != y_i} p_i(c)``, in [-1, 1]; below 0 another label outvotes ``y_i``."""
    rows = np.arange(len(labels))
    others = shares.copy()
    others[rows, labels] = -np.inf
    gap: Floats = shares[rows, labels] - others.max(axis=1)
    return gap


def undecidable(z: np.ndarray[Any, Any], labels: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows that neighbours cannot judge: the only one of its class, or a zero vector."""
    counts = np.bincount(labels)
    alone: np.ndarray[Any, np.dtype[np.bool_]] = (counts[labels] < 2) | ~z.any(axis=1)
    return alone


def summed(weight: Floats, index: Ints, targets: Floats) -> Floats:
    """``sum_k weight_ik targets[index_ik]``, ``(N, C)``, one neighbour of all rows at a time."""
    total = np.zeros((len(weight), targets.shape[1]))
    for k in range(weight.shape[1]):
        total += weight[:, k, None] * targets[index[:, k]]
    return total


def on_simplex(votes: Floats) -> Floats:
    """Each row divided by its sum; uniform where the sum is 0."""
    total = votes.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 0, votes / np.where(total > 0, total, 1), 1 / votes.shape[1])
    return shares


def _held_back(targets: Floats, gamma: float) -> Floats:
    prior = targets.mean(axis=0)
    factor: Floats = np.where(prior > 0, np.where(prior > 0, prior, 1.0) ** -gamma, 0.0)
    return factor
