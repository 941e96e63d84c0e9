"""SBCL: contrast on the levels of subclass and of class."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_integers,
    check_not_negative,
    check_reduction,
    check_temperature,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.contrast import contrast
from counterpoint.objectives.multiview import view_rows
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective
from counterpoint.objectives.supcon import supcon
from counterpoint.objectives.temperature import over_base

Denominator = Literal["levels", "all"]
SOURCE = (
    "Hou et al. 2023, Subclass-balancing Contrastive Learning for Long-tailed Recognition, "
    "arXiv 2306.15925"
)


@objective(
    inputs="features",
    across_ranks="a rank contrasts its own batch; ranks of equal batches average it",
    source=SOURCE,
)
def sbcl(
    features: Tensor,
    labels: Tensor,
    subclasses: Tensor,
    temperature: float = 0.1,
    *,
    class_temperature: Tensor | None = None,
    beta: float = 0.25,
    base_temperature: float | None = 0.07,
    denominator: Denominator = "levels",
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``(t1 / T0) l1 + beta l2``: subclass nearer than all, class nearer than other classes.

    ``l1`` is `supcon` on subclasses at t1. With i' the other views, M the other rows of the
    subclass, R the rows of the class outside M, and i', over their own temperature t2::

        l2 = -1/|R| sum_{p in R} s_ip / t2 + log sum_{a not in M, or a = i'} exp(s_ia / t2)

    so members of the subclass are neither pulled nor pushed at the level of classes.
    ``denominator="all"`` is the ablation: l2 is `supcon` on classes at t1. With one subclass a
    class, l1 is `supcon` on classes. Before the first clustering there are no subclasses: warm up
    with `supcon`. Subclasses and t2 come from `counterpoint.pairs.subclasses`.

    Args:
        features: ``(B, V, D)``, V views of every sample; or ``(N, D)``.
        labels: class of each sample, int64 ``(B,)``.
        subclasses: numbered over all classes, int64 ``(B,)``.
        temperature: t1, above 0.
        class_temperature: t2 of every class ``(C,)``; None for t1. No gradient.
        beta: weight of l2, at least 0; 0.25.
        base_temperature: T0; 0.07 as released. None for T0 = t1, the form of the paper.
        denominator: ``"levels"`` or ``"all"``.
        normalize: divide every row by its length.
        reduction: over anchors with a member of their subclass; the others give 0.

    Returns:
        ``()``, or ``(V B,)`` without reduction, view by view.

    Raises:
        DataError: features, labels or temperatures that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Hou et al., "SBCL", ICCV 2023, arXiv 2306.15925, released ``SupConLoss_rank``.
    """
    check_reduction(reduction)
    check_choice(Denominator, denominator=denominator)
    check_not_negative(beta=beta)
    rows, views = view_rows(features)
    (z,) = prepare(normalize, features=rows)
    samples = len(z) // views
    y = check_integers("labels", labels, samples).repeat(views)
    g = check_integers("subclasses", subclasses, samples).repeat(views)
    sample = torch.arange(samples, device=z.device).repeat(views)
    counted = _has_company(g)
    check_temperature(temperature=temperature)
    factor = over_base(temperature, base_temperature)
    each: Reduction = "none" if reduction == "none" else "sum"
    first = supcon(z, g, temperature, normalize=False, reduction=each)
    if denominator == "all":
        second = supcon(
            z, torch.where(counted, y, -1), temperature, normalize=False, reduction=each
        )
    else:

        def positive(i: Tensor, j: Tensor) -> Tensor:
            view = (sample[i] == sample[j]) & (i != j)
            return (((y[i] == y[j]) & (g[i] != g[j])) | view) & counted[i]

        def valid(i: Tensor, j: Tensor) -> Tensor:
            return (g[i] != g[j]) | ((sample[i] == sample[j]) & (i != j))

        own = _of_rows(class_temperature, y, temperature, z)
        second = contrast(
            z, z, own, positive=positive, valid=valid, normalize=False, reduction=each
        )
    total = factor * first + beta * second
    if reduction == "none":
        return total
    return total / max(int(counted.sum()), 1) if reduction == "mean" else total


def _has_company(subclasses: Tensor) -> Tensor:
    _, place, counts = torch.unique(subclasses, return_inverse=True, return_counts=True)
    company: Tensor = counts[place] > 1
    return company


def _of_rows(
    values: Tensor | None, labels: Tensor, temperature: Temperature, like: Tensor
) -> Tensor:
    if values is None:
        return inverse_temperature(temperature, len(labels), like).reciprocal().expand(len(labels))
    check_temperature(class_temperature=values)
    if values.dim() != 1 or int(labels.min()) < 0 or int(labels.max()) >= len(values):
        raise DataError("class_temperature must hold a temperature for every label 0 .. C - 1.")
    return values.detach().to(like)[labels]


@objective(
    inputs="queue",
    across_ranks="a rank has its own anchors and its copy of the queue; ranks average it",
    ranks="rows",
    source=SOURCE,
)
def sbcl_queue(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    labels: Tensor,
    subclasses: Tensor,
    queue_labels: Tensor,
    queue_subclasses: Tensor,
    temperature: Temperature = 0.07,
    *,
    class_temperature: Temperature = 0.12,
    beta: float = 0.2,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``l1 + beta l2`` against the own key and a queue.

    l1: positives are the own key and the queue's rows of the subclass, all of key and queue are in
    the sum. l2: positives are the own key and rows of the class but of other subclasses; rows of
    the own subclass take no part.

    Args:
        queries: ``(N, D)``, with gradient.
        keys: of the momentum encoder ``(N, D)``, no gradient.
        queue: ``(M, D)``, no gradient.
        labels: int64 ``(N,)``.
        subclasses: int64 ``(N,)``.
        queue_labels: int64 ``(M,)``.
        queue_subclasses: int64 ``(M,)``.
        temperature: of l1.
        class_temperature: of l2.
        beta: weight of l2, at least 0.
        normalize: divide every row by its length.
        reduction: over queries.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Hou et al., "SBCL", ICCV 2023, arXiv 2306.15925, released form with MoCo.
    """
    check_not_negative(beta=beta)
    check_temperature(temperature=temperature, class_temperature=class_temperature)
    n, m = same_rows(queries=queries, keys=keys), len(queue)
    q, k, bank = prepare(normalize, queries=queries, keys=keys.detach(), queue=queue.detach())
    y = check_integers("labels", labels, n)
    g = check_integers("subclasses", subclasses, n)
    every_y = torch.cat([y, check_integers("queue_labels", queue_labels, m)])
    every_g = torch.cat([g, check_integers("queue_subclasses", queue_subclasses, m)])
    pool = torch.cat([k, bank])

    def own(i: Tensor, j: Tensor) -> Tensor:
        return i == j

    def subclass(i: Tensor, j: Tensor) -> Tensor:
        return own(i, j) | ((j >= n) & (g[i] == every_g[j]))

    def candidates(i: Tensor, j: Tensor) -> Tensor:
        return own(i, j) | (j >= n)

    def elsewhere(i: Tensor, j: Tensor) -> Tensor:
        return own(i, j) | ((j >= n) & (g[i] != every_g[j]))

    def same_class(i: Tensor, j: Tensor) -> Tensor:
        return own(i, j) | ((y[i] == every_y[j]) & elsewhere(i, j))

    levels = [
        contrast(q, pool, t, positive=positive, valid=valid, normalize=False, reduction="none")
        for t, positive, valid in (
            (temperature, subclass, candidates),
            (class_temperature, same_class, elsewhere),
        )
    ]
    return reduce(levels[0] + beta * levels[1], reduction)


class SBCL(Loss, function=sbcl):
    """`counterpoint.objectives.functional.sbcl` as a module."""

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        beta: float = 0.25,
        base_temperature: float | None = 0.07,
        denominator: Denominator = "levels",
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            beta=beta,
            base_temperature=base_temperature,
            denominator=denominator,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self,
        features: Tensor,
        labels: Tensor,
        subclasses: Tensor,
        *,
        class_temperature: Tensor | None = None,
    ) -> Tensor:
        return self.call(features, labels, subclasses, class_temperature=class_temperature)


class SBCLQueue(Loss, function=sbcl_queue):
    """`counterpoint.objectives.functional.sbcl_queue` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        *,
        class_temperature: Temperature | nn.Module = 0.12,
        beta: float = 0.2,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            class_temperature=class_temperature,
            beta=beta,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        queue: Tensor,
        labels: Tensor,
        subclasses: Tensor,
        queue_labels: Tensor,
        queue_subclasses: Tensor,
    ) -> Tensor:
        return self.call(queries, keys, queue, labels, subclasses, queue_labels, queue_subclasses)
