"""PLD: of a few of a user's interactions, train on one the model finds plausible."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.bpr import bpr
from counterpoint.objectives.pairwise import pairwise_loss

Candidate = Literal["bpr", "bce"]


def sampling_probabilities(
    positive: Tensor,
    negative: Tensor | None = None,
    *,
    temperature: float = 0.1,
    loss: Candidate = "bpr",
) -> Tensor:
    """``softmax_i(-l_i / temperature)`` over the pool of a user.

    ``l_i = -log sigmoid(r(u, i) - r(u, j))`` with ONE negative j shared by the pool (``"bpr"``), or
    ``-log sigmoid(r(u, i))`` (``"bce"``, where the term of the negative would cancel). Against a
    uniform draw the odds of an interaction of loss b over one of loss a shrink by
    ``exp(-(b - a) / temperature)``. Large temperatures are uniform; near 0 the smallest loss is
    always taken. Draw one with `counterpoint.pairs.draws.draw_places` and train on it with the same
    negative. Warm the model up with plain sampling first (the paper: 5 epochs).

    Args:
        positive: scores of the pools ``(B, k)``.
        negative: scores of the negatives ``(B,)``; for ``"bpr"`` only.
        temperature: above 0; the paper's code has 0.1, and k = 5.
        loss: ``"bpr"`` or ``"bce"``.

    Returns:
        ``(B, k)``, at least float32, rows sum to 1; no gradient.

    Raises:
        DataError: shapes that do not fit, NaN or infinite scores.
        SettingError: unknown loss, or temperature not above 0.

    Source: Zhang et al., "Personalized Denoising Implicit Feedback for Robust Recommender System",
    WWW 2025, arXiv 2502.00348.
    """
    if not temperature > 0:
        raise SettingError(f"temperature must be above 0, got {temperature}.")
    if loss not in ("bpr", "bce"):
        raise SettingError(f"loss must be 'bpr' or 'bce', got {loss!r}.")
    if positive.dim() != 2 or positive.shape[1] == 0:
        raise DataError(f"positive must be (B, k), a pool a user; got {tuple(positive.shape)}.")
    if (negative is None) == (loss == "bpr"):
        raise DataError("The bpr loss needs the scores of the negatives; the bce loss takes none.")
    scores = positive.detach().to(torch.promote_types(positive.dtype, torch.float32))
    if negative is None:
        if not bool(torch.isfinite(scores).all()):
            raise DataError("positive holds NaN or infinite scores.")
        losses = pairwise_loss(scores)
    else:
        if negative.shape != positive.shape[:1]:
            raise DataError(
                f"negative must be ({len(positive)},), one a pool; got {tuple(negative.shape)}."
            )
        losses = bpr(scores, negative.detach()[:, None].to(scores), reduction="none")
    return (-losses / temperature).softmax(1)
