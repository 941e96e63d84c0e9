"""Nearest rows by cosine similarity, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint.engine.neighbours import most_similar
from counterpoint.errors import SettingError
from counterpoint.probes.inputs import Ints, features
from counterpoint.probes.scaling import unit_length


def neighbours(
    queries: Any, base: Any, k: int, exclude_same_row: bool = False
) -> tuple[NDArray[np.float32], Ints]:
    """The ``k`` rows of ``base`` most similar to each query, by exact search.

    Args:
        queries: ``(N, D)``, finite; normalised here (a zero row has similarity 0 to all).
        base: ``(M, D)``, finite; normalised here.
        k: between 1 and M, or M - 1 with ``exclude_same_row``.
        exclude_same_row: row i of ``base`` is never a neighbour of query i (the same sample).

    Returns:
        Cosine similarities ``(N, k)`` float32, falling along each row, and positions in ``base``
        ``(N, k)`` int64.

    Raises:
        DataError: bad embeddings.
        SettingError: ``k`` out of range.
    """
    q, b = unit_length(features(queries, "queries")), unit_length(features(base, "base"))
    most = len(b) - exclude_same_row
    if not 1 <= k <= most:
        raise SettingError(f"k must lie between 1 and {most}, the candidates there are; got {k}.")
    queried, found = (torch.from_numpy(z.astype(np.float32)) for z in (q, b))
    own = 0 if exclude_same_row else None
    scores, places = most_similar(queried, found, k, own)
    return scores.numpy(), places.numpy()
