"""BaCon: discovery of classes when their sizes are unknown and uneven."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from counterpoint.engine.checks import (
    Temperature,
    check_finite,
    check_reduction,
    check_temperature,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import IndexFunction, Reduction, Terms
from counterpoint.errors import DataError
from counterpoint.objectives.multiview import view_rows
from counterpoint.objectives.registry import Loss, objective
from counterpoint.objectives.temperature import over_base
from counterpoint.pairs.estimated_classes import checked_counts

SOURCE = (
    "Bai et al. 2023, Towards Distribution-Agnostic Generalized Category Discovery, "
    "arXiv 2310.01376"
)


@objective(
    inputs="features",
    across_ranks="a rank contrasts its own batch; ranks of equal batches average it",
    source=SOURCE,
)
def soft_supcon(
    features: Tensor,
    soft_labels: Tensor,
    temperature: Temperature = 0.07,
    *,
    base_temperature: float | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """`supcon` with soft positives, ``w_ij = <soft_i, soft_j>`` of samples, 1 for other views.

    ``-sum_j w_ij s_ij / (t sum_j w_ij) + log sum_{a != i} exp(s_ia / t)``, no gradient in w. With
    one-hot labels this is `supcon`.

    Args:
        features: ``(S, V, D)``, V views of every sample; or ``(N, D)``.
        soft_labels: at least 0, ``(S, K)``, e.g. of `debiased_labels`.
        temperature: positive; number, learnable scalar or one a row.
        base_temperature: the loss is multiplied by temperature / base; None for no factor.
        normalize: divide every row by its length.
        reduction: over rows with a positive.

    Returns:
        ``()``, or ``(V S,)`` without reduction, view by view.

    Raises:
        DataError: features or labels that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376, released ``SemiConLoss``.
    """
    rows, views = view_rows(features)
    soft = soft_labels.detach()
    if soft.dim() != 2 or len(soft) * views != len(rows):
        raise DataError(f"soft_labels must be ({len(rows) // views}, K), got {tuple(soft.shape)}.")
    check_finite(soft_labels=soft)
    if not bool((soft >= 0).all()):
        raise DataError("soft_labels must be at least 0.")
    samples = len(soft)

    def weight(i: Tensor, j: Tensor) -> Tensor:
        block = soft[i[:, 0] % samples] @ soft[j[0] % samples].T
        return block.masked_fill(i % samples == j % samples, 1.0)

    return _weighted(rows, weight, temperature, base_temperature, normalize, reduction)


@objective(
    inputs="features",
    across_ranks="a rank contrasts its own batch; ranks of equal batches average it",
    source=SOURCE,
)
def masked_supcon(
    features: Tensor,
    weights: Tensor,
    temperature: Temperature = 0.07,
    *,
    base_temperature: float | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """`soft_supcon` of weights that are given, ``(S, S)``; they are repeated over views.

    Args:
        features: ``(S, V, D)``, V views of every sample; or ``(N, D)``.
        weights: of pairs of samples, at least 0 ``(S, S)``, no gradient; the diagonal weighs the
            other views of a sample.
        temperature: positive; number, learnable scalar or one a row.
        base_temperature: the loss is multiplied by temperature / base; None for no factor.
        normalize: divide every row by its length.
        reduction: over rows with a positive.

    Returns:
        ``()``, or ``(V S,)`` without reduction, view by view.

    Raises:
        DataError: features or weights that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376, released ``SemiConLoss``.
    """
    rows, views = view_rows(features)
    samples, w = len(rows) // views, weights.detach()
    check_finite(weights=w)
    if w.shape != (samples, samples) or not bool((w >= 0).all()):
        raise DataError(f"weights must be ({samples}, {samples}) and at least 0.")

    def weight(i: Tensor, j: Tensor) -> Tensor:
        return w[i % samples, j % samples]

    return _weighted(rows, weight, temperature, base_temperature, normalize, reduction)


def _weighted(
    rows: Tensor,
    weight: IndexFunction,
    temperature: Temperature,
    base_temperature: float | None,
    normalize: bool,
    reduction: Reduction,
) -> Tensor:
    check_reduction(reduction)
    (z,) = prepare(normalize, features=rows)
    scale = inverse_temperature(temperature, len(z), z)
    factor = over_base(temperature, base_temperature)
    loss, _ = one_way(z, z, scale, Terms(excluded=(0,), positive=weight), reduction=reduction)
    return factor * loss


@objective(
    inputs="logits",
    across_ranks="the mean prediction is of a rank's own batch; ranks average the loss",
    source=SOURCE,
)
def distribution_regulariser(
    outputs: Tensor, counts: Tensor, *, power: float = 1.1, temperature: float = 0.1
) -> Tensor:
    """``log K - H(a')``, ``a'`` the mean prediction divided by ``counts^p``, to sum 1.

    0 where the mean prediction is proportional to ``counts^p``; ``power=0`` is the usual mean
    entropy term, towards uniform.

    Args:
        outputs: cosine logits ``(N, K)`` of both views.
        counts: estimated class sizes above 0 ``(K,)``.
        power: p.
        temperature: divides the outputs.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, counts not above 0.
        SettingError: temperature out of range.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376, code form.
    """
    check_temperature(temperature=temperature)
    x = _outputs(outputs, temperature)
    n = checked_counts(counts, x.shape[1]).to(x)
    check_finite(counts=n)
    log_mean = x.log_softmax(1).logsumexp(0)
    log_a = (log_mean - power * n.log()).log_softmax(0)
    return torch.log(x.new_tensor(float(x.shape[1]))) + (log_a.exp() * log_a).sum()


@objective(
    inputs="logits",
    across_ranks="a sample has its own loss; ranks of equal batches average it",
    ranks="rows",
    source=SOURCE,
)
def cross_view_distillation(
    outputs1: Tensor,
    outputs2: Tensor,
    *,
    teacher_temperature: float = 0.04,
    temperature: float = 0.1,
) -> Tensor:
    """Each view's prediction learns the sharper, detached one of the other view.

    ``(CE(softmax(o1 / T), softmax(o2 / 0.1)) + CE(softmax(o2 / T), softmax(o1 / 0.1))) / 2``.

    Args:
        outputs1: cosine logits of view 1 ``(N, K)``.
        outputs2: of view 2 ``(N, K)``.
        teacher_temperature: T, see `teacher_temperature`.
        temperature: of the student.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that differ, NaN, infinity.
        SettingError: a temperature out of range.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376; DINO, Caron et al. 2021.
    """
    if outputs1.shape != outputs2.shape:
        raise DataError("Both views must have outputs of one shape.")
    check_temperature(temperature=temperature, teacher_temperature=teacher_temperature)
    both = [outputs1, outputs2]
    students = [_outputs(x, temperature) for x in both]
    teachers = [_outputs(x.detach(), teacher_temperature).softmax(1) for x in both]
    first = cross_entropy(students[0], teachers[1])
    return (first + cross_entropy(students[1], teachers[0])) / 2


def teacher_temperature(
    epoch: int, *, start: float = 0.07, end: float = 0.04, warmup: int = 30
) -> float:
    """Evenly from ``start`` (epoch 0) to ``end`` (epoch warmup - 1), then ``end``.

    A single epoch of warm-up has ``start``, none has ``end`` at once.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376.
    """
    if epoch >= warmup:
        return end
    return start + (end - start) * epoch / max(warmup - 1, 1)


def _outputs(outputs: Tensor, temperature: Temperature) -> Tensor:
    (x,) = prepare(False, outputs=outputs)
    return x * inverse_temperature(temperature, len(x), x).reshape(-1, 1)


class SoftSupCon(Loss, function=soft_supcon):
    """`counterpoint.objectives.functional.soft_supcon` as a module."""

    def __init__(
        self,
        temperature: float = 0.07,
        *,
        base_temperature: float | None = None,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            base_temperature=base_temperature,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(self, features: Tensor, soft_labels: Tensor) -> Tensor:
        return self.call(features, soft_labels)


class MaskedSupCon(Loss, function=masked_supcon):
    """`counterpoint.objectives.functional.masked_supcon` as a module."""

    def __init__(
        self,
        temperature: float = 0.07,
        *,
        base_temperature: float | None = None,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            base_temperature=base_temperature,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(self, features: Tensor, weights: Tensor) -> Tensor:
        return self.call(features, weights)


class DistributionRegulariser(Loss, function=distribution_regulariser):
    """`counterpoint.objectives.functional.distribution_regulariser` as a module."""

    def __init__(self, *, power: float = 1.1, temperature: float = 0.1) -> None:
        super().__init__(power=power, temperature=temperature)

    def forward(self, outputs: Tensor, counts: Tensor) -> Tensor:
        return self.call(outputs, counts)


class CrossViewDistillation(Loss, function=cross_view_distillation):
    """`counterpoint.objectives.functional.cross_view_distillation` as a module."""

    def __init__(self, *, teacher_temperature: float = 0.04, temperature: float = 0.1) -> None:
        super().__init__(teacher_temperature=teacher_temperature, temperature=temperature)

    def forward(self, outputs1: Tensor, outputs2: Tensor) -> Tensor:
        return self.call(outputs1, outputs2)
