"""For each query a list of candidates: its own first, then the most similar others."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError, SettingError


@torch.no_grad()
def candidate_lists(similarity: Tensor, length: int = 128, ids: Tensor | None = None) -> Tensor:
    """Row i holds i, then the candidates most similar to query i that have another id.

    Args:
        similarity: float ``(N, N)``; candidate i belongs to query i.
        length: K, at least 1; smaller for the whole batch where a query has fewer others.
        ids: int64 ``(N,)``; candidates of the query's id (several captions of one video) are no
            negatives. None for all different.

    Returns:
        int64 ``(N, K)``, positions of candidates.

    Raises:
        DataError: a matrix that is not square, or ids that do not fit.
        SettingError: length below 1.

    Source: Jin et al. 2023, DiffusionRet, arXiv 2303.09867.
    """
    if similarity.dim() != 2 or similarity.shape[0] != similarity.shape[1]:
        raise DataError(f"similarity must be (N, N), got {tuple(similarity.shape)}.")
    if length < 1:
        raise SettingError(f"length must be at least 1, got {length}.")
    own = torch.arange(len(similarity), device=similarity.device)
    ids = own if ids is None else check_integers("ids", ids, len(own))
    same = ids[:, None] == ids
    others = int((~same).sum(1).min())
    ranked = similarity.masked_fill(same, -torch.inf).topk(min(length - 1, others), 1)
    return torch.cat([own[:, None], ranked.indices], 1)


def reranked(
    similarity: Tensor, lists: Tensor, relevance: Tensor, gain: float = 1.0, sharpness: float = 1.0
) -> Tensor:
    """``s_ik + gain softmax_k(sharpness x_ik)`` for the listed candidates, s elsewhere.

    A network trained with a scale of 100 separates candidates by about 0.01, so that a sharpness of
    1 hardly changes the order; try 10 and more.

    Args:
        similarity: s, float ``(N, M)``.
        lists: listed candidates of each query, int64 ``(N, K)``, each at most once.
        relevance: generated x, float ``(N, K)``.
        gain: weight of the generated distribution.
        sharpness: inverse temperature of its softmax.

    Returns:
        ``(N, M)``.

    Raises:
        DataError: shapes that do not fit.

    Source: Jin et al. 2023, DiffusionRet, arXiv 2303.09867.
    """
    if lists.shape != relevance.shape or len(lists) != len(similarity):
        raise DataError(
            f"similarity {tuple(similarity.shape)}, lists {tuple(lists.shape)} and relevance "
            f"{tuple(relevance.shape)} do not fit."
        )
    gained = gain * (sharpness * relevance).softmax(1)
    return similarity.scatter_add(1, lists, gained.to(similarity.dtype))
