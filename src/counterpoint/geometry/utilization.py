"""How near unseen points lie to regions visited in training."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from counterpoint.engine.nearest import best_candidates
from counterpoint.errors import DataError
from counterpoint.geometry.inputs import unit_rows


def utilization(queries: Any, visited: Any) -> Tensor:
    """``mean_q min_x ||f(q) - f(x)||^2`` of unit rows, in [0, 4]; lower is better.

    A larger set of visited points never raises it, so compare across models too.

    Args:
        queries: ``(Q, D)``, e.g. of classes not trained on.
        visited: ``(M, D)``, of training samples, and their mixtures if wanted.

    Returns:
        ``()``, without gradient.

    Raises:
        DataError: shapes that do not fit, NaN, infinity, a zero vector.

    Source: Venkataramanan et al., "Metrix", ICLR 2022, arXiv 2106.04990.
    """
    q = unit_rows(queries, "queries", at_least=1).detach()
    x = unit_rows(visited, "visited", at_least=1).detach()
    if q.shape[1] != x.shape[1]:
        raise DataError(f"queries has width {q.shape[1]} and visited has width {x.shape[1]}.")
    return (q - x[best_candidates(q, x)]).square().sum(1).mean()
