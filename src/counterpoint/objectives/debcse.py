"""DebCSE: in-batch contrast with hard negatives and a mask of likely false negatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_finite,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import IndexFunction, Reduction, Terms
from counterpoint.errors import DataError
from counterpoint.objectives.duplicates import in_bank, in_views
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="pairs",
    across_ranks="a rank contrasts its own batch; ranks of equal batches average it",
    source="Miao et al. 2023, DebCSE, arXiv 2309.07396 (formula reconstructed)",
)
def debcse(
    anchors: Tensor,
    positives: Tensor,
    negatives: Tensor | None = None,
    temperature: Temperature = 0.05,
    *,
    allowed: IndexFunction | None = None,
    weights: Tensor | None = None,
    ids: Tensor | None = None,
    negative_ids: Tensor | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-s(i, p_i) / t + log of the sum over positives and hard negatives that are allowed``.

    Hard negatives of all anchors are shared. The own positive always counts. Draw positives and
    negatives with `counterpoint.pairs.propensity`, or draw them evenly and pass the weights.
    Without mask and weights this is `info_nce`. Reconstructed: no code of the authors is known.

    Args:
        anchors: ``(N, D)``.
        positives: row i belongs to anchor i, ``(N, D)``.
        negatives: ``(H, D)``; None for none.
        temperature: positive; number, learnable scalar or one an anchor.
        allowed: ``allowed(i, j)``, bool, of anchor i and row j of ``[positives, negatives]``: False
            where a teacher finds both sentences alike (a likely false negative). None for all.
        weights: of each anchor, at least 0, mean 1, ``(N,)``, no gradient.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        negative_ids: int64 ``(H,)``, the ids of ``negatives``.
        normalize: divide every row by its length.
        reduction: over anchors.

    Returns:
        ``()``, or ``(N,)`` without reduction; 0 where nothing but the positive is allowed.

    Raises:
        DataError: embeddings or weights that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: reconstructed for Miao et al., "DebCSE", CIKM 2023, arXiv 2309.07396.
    """
    check_reduction(reduction)
    n = same_rows(anchors=anchors, positives=positives)
    more = {} if negatives is None else {"negatives": negatives}
    a, *rest = prepare(normalize, anchors=anchors, positives=positives, **more)
    pool = torch.cat(rest)
    scale = inverse_temperature(temperature, n, a)

    if negatives is None:
        distinct = in_views(ids, n, False)
    else:
        distinct = in_bank(ids, negative_ids, n, len(negatives), True, False)

    def valid(i: Tensor, j: Tensor) -> Tensor:
        kept = torch.ones_like(i == j) if allowed is None else allowed(i, j) | (i == j)
        return kept if distinct is None else kept & distinct(i, j)

    everything = allowed is None and distinct is None

    loss, _ = one_way(
        a,
        pool,
        scale,
        Terms(valid=None if everything else valid),
        pull=scale * torch.linalg.vecdot(a, rest[0]),
        reduction=reduction if weights is None else "none",
    )
    if weights is None:
        return loss
    check_finite(weights=weights)
    if weights.shape != (n,) or not bool((weights >= 0).all()):
        raise DataError(f"weights must be ({n},), at least 0, got {tuple(weights.shape)}.")
    return reduce(weights.detach().to(loss) * loss, reduction)


class DebCSE(Loss, function=debcse):
    """`counterpoint.objectives.functional.debcse` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.05,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(temperature=temperature, normalize=normalize, reduction=reduction)

    def forward(
        self,
        anchors: Tensor,
        positives: Tensor,
        *,
        negatives: Tensor | None = None,
        allowed: IndexFunction | None = None,
        weights: Tensor | None = None,
        ids: Tensor | None = None,
        negative_ids: Tensor | None = None,
    ) -> Tensor:
        more = {"negatives": negatives, "allowed": allowed, "weights": weights}
        return self.call(anchors, positives, ids=ids, negative_ids=negative_ids, **more)
