"""Scaling of features with the statistics of the training rows alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterpoint.probes.inputs import Floats


@dataclass(frozen=True)
class Scaling:
    """``(x - shift) / scale``, column by column.

    Attributes:
        shift: ``(D,)``.
        scale: ``(D,)``, nowhere 0.
    """

    shift: Floats
    scale: Floats

    def __call__(self, x: Floats) -> Floats:
        return (x - self.shift) / self.scale


def min_max(train: Floats) -> Scaling:
    """Maps each column of ``train`` (N, D) to [0, 1]; a constant column is divided by 1.

    Other rows may leave [0, 1].
    """
    low = train.min(axis=0)
    return Scaling(low, _nonzero(train.max(axis=0) - low))


def standard(train: Floats) -> Scaling:
    """Gives each column of ``train`` (N, D) mean 0 and variance 1, a constant one variance 0."""
    constant = train.max(axis=0) == train.min(axis=0)
    return Scaling(train.mean(axis=0), np.where(constant, 1.0, _nonzero(train.std(axis=0))))


def unit_length(x: Floats) -> Floats:
    """Divides each row of ``x`` (N, D) by its length; a zero row stays zero."""
    x = x / _nonzero(np.abs(x).max(axis=1, keepdims=True))
    return x / _nonzero(np.linalg.norm(x, axis=1, keepdims=True))


def _nonzero(x: Floats) -> Floats:
    return np.where(x == 0, 1.0, x)
