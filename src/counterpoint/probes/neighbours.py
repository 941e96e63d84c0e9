"""Nearest rows by cosine similarity, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.errors import SettingError, require
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
    index = require("faiss", "probe").IndexFlatIP(b.shape[1])
    index.add(b.astype(np.float32))
    scores, found = index.search(q.astype(np.float32), k + exclude_same_row)
    if not exclude_same_row:
        return scores, found
    same = found == np.arange(len(q))[:, None]
    same[:, -1] |= ~same.any(axis=1)  # own row not among the found: drop the least similar
    return scores[~same].reshape(-1, k), found[~same].reshape(-1, k)
