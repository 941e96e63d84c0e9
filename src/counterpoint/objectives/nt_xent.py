"""NT-Xent, the loss of SimCLR: two views, every other row of the batch is a negative."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import self_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.objectives.decoupled import left_out
from counterpoint.objectives.duplicates import in_views
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="two views",
    across_ranks="negatives are the rows of both views on all ranks; mean over all anchors",
    source="Chen et al. 2020, A Simple Framework for Contrastive Learning, Eq. 1",
)
def nt_xent(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature = 0.1,
    *,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-s(i, i') / t + log sum_{j != i} exp(s(i, j) / t)``, anchors i in both views.

    ``i'`` is the other view of i and j runs over the other 2N - 1 rows of ``cat([z1, z2])``.
    The dense equivalent, which holds ``(2N, 2N)`` numbers::

        z = torch.nn.functional.normalize(torch.cat([z1, z2]))
        s = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
        torch.nn.functional.cross_entropy(s, torch.arange(2 * n).roll(n))

    Args:
        z1: first view, float ``(N, D)``.
        z2: second view, float ``(N, D)``.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(2N,)``.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over the 2N anchors, z1's first.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(2N,)`` without reduction. With N = 1 there are no negatives: 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual
    Representations, Eq. 1.
    """
    check_reduction(reduction)
    n = same_rows(z1=z1, z2=z2)
    z1, z2 = prepare(normalize, z1=z1, z2=z2)
    scale = inverse_temperature(temperature, 2 * n, z1)
    return self_way(
        torch.cat([z1, z2]),
        scale,
        Terms(
            excluded=(0, *left_out(decoupled, n, across_ranks, n, -n)),
            valid=in_views(ids, n, across_ranks, (2, 2)),
        ),
        pull=scale * torch.linalg.vecdot(z1, z2).repeat(2),
        reduction=reduction,
        across_ranks=across_ranks,
    )


class NTXent(Loss, function=nt_xent):
    """`counterpoint.objectives.functional.nt_xent` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        decoupled: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, z1: Tensor, z2: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(z1, z2, ids=ids)
