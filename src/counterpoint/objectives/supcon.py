"""SupCon: all rows of the same label are positives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_integers,
    check_reduction,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.softmax import self_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.objectives.duplicates import in_classes
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.same_label import SameLabel


@objective(
    inputs="labels",
    across_ranks="positives and negatives are the rows of all ranks; mean over all anchors",
    source="Khosla et al. 2020, Supervised Contrastive Learning, Eq. 2",
)
def supcon(
    z: Tensor,
    labels: Tensor,
    temperature: Temperature = 0.1,
    *,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-1/|P(i)| sum_{p in P(i)} s(i, p) / t + log sum_{j != i} exp(s(i, j) / t)``.

    ``P(i)`` are the other rows with the label of i. Several views of a sample are several rows:
    ``supcon(torch.cat([z1, z2]), labels.repeat(2))``.

    Args:
        z: float ``(N, D)``.
        labels: int64 ``(N,)``; -1 where unknown: such a row is a negative of all others and has no
            positives.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors. An anchor without positives
            gives 0 and is left out of the mean.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings, labels or ids that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Khosla et al. 2020, Supervised Contrastive Learning, Eq. 2 (``L_out``).
    """
    check_reduction(reduction)
    (z,) = prepare(normalize, z=z)
    labels = check_integers("labels", labels, len(z))
    scale = inverse_temperature(temperature, len(z), z)
    mean_positive, counted = SameLabel(labels).attraction(z, across_ranks)
    return self_way(
        z,
        scale,
        Terms(excluded=(0,), valid=in_classes(ids, labels, across_ranks, decoupled)),
        pull=scale * torch.linalg.vecdot(z, mean_positive),
        counted=counted,
        reduction=reduction,
        across_ranks=across_ranks,
    )


class SupCon(Loss, function=supcon):
    """`counterpoint.objectives.functional.supcon` as a module."""

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

    def forward(self, z: Tensor, labels: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(z, labels, ids=ids)
