"""The loss of CLIP: InfoNCE both ways."""

from __future__ import annotations

from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import two_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.objectives.decoupled import left_out
from counterpoint.objectives.duplicates import in_views
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="pairs",
    across_ranks="negatives are the other modality's rows of all ranks; mean over all pairs",
    source="Radford et al. 2021, Learning Transferable Visual Models From Language Supervision",
)
def clip(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 0.07,
    *,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """Mean of ``info_nce(x, y)`` and ``info_nce(y, x)``.

    The dense equivalent, which holds ``(N, N)`` numbers::

        s = normalize(x) @ normalize(y).T / temperature
        i = torch.arange(n)
        (cross_entropy(s, i) + cross_entropy(s.T, i)) / 2

    Args:
        x: one modality, float ``(N, D)``.
        y: the other, float ``(N, D)``; row i belongs to row i of x.
        temperature: positive; one number, a learnable scalar, or one value a pair ``(N,)``.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over pairs.
        ids: int64 ``(N,)``; pairs of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. With N = 1 there are no negatives: 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Radford et al. 2021, Learning Transferable Visual Models From Natural Language
    Supervision, Fig. 3.
    """
    check_reduction(reduction)
    n = same_rows(x=x, y=y)
    x, y = prepare(normalize, x=x, y=y)
    scale = inverse_temperature(temperature, n, x)
    along, down = two_way(
        x,
        y,
        scale,
        Terms(
            excluded=left_out(decoupled, n, across_ranks, 0), valid=in_views(ids, n, across_ranks)
        ),
        reduction=reduction,
        across_ranks=across_ranks,
    )
    return (along + down) / 2


class CLIP(Loss, function=clip):
    """`counterpoint.objectives.functional.clip` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
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

    def forward(self, x: Tensor, y: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(x, y, ids=ids)
