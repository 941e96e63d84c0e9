"""MLCD: several positive classes a sample, drawn and pushed about a fixed boundary at 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import IndexFunction, Reduction, Terms
from counterpoint.errors import DataError
from counterpoint.objectives.masked import log_sum_with_zero, masked_log_sum
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

SOURCE = (
    "An et al. 2024, Multi-label Cluster Discrimination for Visual Representation Learning, "
    "arXiv 2407.17331"
)
ACROSS_RANKS = "every rank holds all class vectors; a sample has its own loss, ranks average it"


@objective(inputs="prototypes", across_ranks=ACROSS_RANKS, ranks="rows", source=SOURCE)
def mlcd(
    z: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    temperature: Temperature = 1.0,
    *,
    classes: Tensor | None = None,
    negative: IndexFunction | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``log(1 + sum_p exp(-s_p)) + log(1 + sum_n exp(s_n))``, ``s = cos(z, w) / t``.

    p runs over the classes of the sample, n over the other (sampled) classes. The two sums do not
    interact: positives do not compete, and the boundary lies at 0, unlike in `multi_label`. The
    paper has no temperature (1); 1/16 to 1/64 is the sensible range for cosines.

    Args:
        z: embeddings, float ``(N, D)``.
        prototypes: trainable class vectors w, float ``(C, D)``.
        labels: positive classes of every sample, int64 ``(N, l)``; -1 fills up shorter lists.
        temperature: positive; one number, a learnable scalar, or one value a sample ``(N,)``.
        classes: sampled classes, int64 ``(S,)``, see `counterpoint.pairs.classes.sample_classes`;
            only these are negatives and only their rows (and the positives') get a gradient.
        negative: ``negative(i, j)``, bool, which classes may be negatives of sample i.
        normalize: divide every row by its length.
        reduction: over samples.

    Returns:
        ``()``, or ``(N,)`` without reduction. An empty set contributes 0.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity, a class listed twice.
        SettingError: temperature or reduction out of range.

    Source: An et al. 2024, Multi-label Cluster Discrimination, arXiv 2407.17331.
    """
    check_reduction(reduction)
    positives, kept, pushed = _sides(
        z, prototypes, labels, temperature, classes, negative, normalize, True
    )
    return reduce(log_sum_with_zero(-positives, kept) + pushed, reduction)


@objective(inputs="prototypes", across_ranks=ACROSS_RANKS, ranks="rows", source=SOURCE)
def multi_label(
    z: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    temperature: Temperature = 1.0,
    *,
    classes: Tensor | None = None,
    negative: IndexFunction | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``log(1 + sum_n exp(s_n) sum_p exp(-s_p))``, the base loss (MLC) that `mlcd` replaces.

    It sees differences of scores only: a constant added to all scores of a sample changes nothing.

    Args:
        z: embeddings, float ``(N, D)``.
        prototypes: trainable class vectors w, float ``(C, D)``.
        labels: positive classes of every sample, int64 ``(N, l)``; -1 fills up shorter lists.
        temperature: positive; one number, a learnable scalar, or one value a sample ``(N,)``.
        classes: sampled classes, int64 ``(S,)``, the only negatives; None for all.
        negative: ``negative(i, j)``, bool, which classes may be negatives of sample i.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over samples.

    Returns:
        ``()``, or ``(N,)`` without reduction. A sample without positives or negatives gives 0.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity, a class listed twice.
        SettingError: temperature or reduction out of range.

    Source: An et al. 2024, Multi-label Cluster Discrimination, arXiv 2407.17331.
    """
    check_reduction(reduction)
    positives, kept, pushed = _sides(
        z, prototypes, labels, temperature, classes, negative, normalize, False
    )
    pulled, some = masked_log_sum(-positives, kept)
    there = some & (pushed > -torch.inf)
    return reduce(softplus((pulled + pushed).where(there, 0.0)).where(there, 0.0), reduction)


def _sides(
    z: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    temperature: Temperature,
    classes: Tensor | None,
    negative: IndexFunction | None,
    normalize: bool,
    with_zero: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of the positives ``(N, l)``, which of them are there, log-sum of the negatives."""
    e, w = prepare(normalize, z=z, prototypes=prototypes)
    _check_labels(labels, len(e), len(w))
    scale = inverse_temperature(temperature, len(e), e)
    positives = torch.linalg.vecdot(e[:, None], w[labels.clamp(min=0)])
    positives = positives * scale.expand(len(e))[:, None]
    columns = torch.arange(len(w), device=w.device) if classes is None else classes

    def pushing(i: Tensor, j: Tensor) -> Tensor:
        own = labels[i[:, 0]]
        kept = torch.ones(len(i), j.shape[1], dtype=torch.bool, device=w.device)
        for place in range(labels.shape[1]):
            kept &= own[:, place, None] != columns[j]
        return kept if negative is None else kept & negative(i, columns[j])

    extra = e.new_zeros(len(e), 1) if with_zero else None
    if not len(columns):
        nothing = 0.0 if with_zero else -torch.inf
        return positives, labels >= 0, e.new_full((len(e),), nothing)
    pushed, rows = one_way(
        e,
        w if classes is None else w[classes],
        scale,
        Terms(valid=pushing),
        extra=extra,
        reduction="none",
    )
    if not with_zero:
        pushed = pushed.where(rows.log_total > -torch.inf, -torch.inf)
    return positives, labels >= 0, pushed


def _check_labels(labels: Tensor, rows: int, classes: int) -> None:
    if labels.dim() != 2 or len(labels) != rows or labels.is_floating_point():
        raise DataError(
            f"labels must be int64 of shape ({rows}, l), the positive classes of each sample, not "
            f"{labels.dtype} {tuple(labels.shape)}."
        )
    outside = ((labels < -1) | (labels >= classes)).any(1).nonzero().flatten()
    if len(outside):
        raise DataError(f"Row {int(outside[0])} of labels has a class outside 0..{classes - 1}.")
    ordered = labels.sort(1).values
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1).nonzero()
    if len(twice):
        raise DataError(f"Row {int(twice[0])} of labels names a class twice.")


class MLCD(Loss, function=mlcd):
    """`counterpoint.objectives.functional.mlcd` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(temperature=temperature, normalize=normalize, reduction=reduction)

    def forward(
        self,
        z: Tensor,
        prototypes: Tensor,
        labels: Tensor,
        *,
        classes: Tensor | None = None,
        negative: IndexFunction | None = None,
    ) -> Tensor:
        return self.call(z, prototypes, labels, classes=classes, negative=negative)


class MultiLabel(MLCD, function=multi_label):
    """`counterpoint.objectives.functional.multi_label` as a module."""
