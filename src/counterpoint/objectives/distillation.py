"""Knowledge distillation: a student's class probabilities follow a teacher's."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import (
    Temperature,
    check_finite,
    check_integers,
    inverse_temperature,
)
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

ROW_BY_ROW = "a row has its own loss; ranks of equal batches average it"


@objective(
    inputs="logits",
    across_ranks=ROW_BY_ROW,
    ranks="rows",
    source="Hinton et al. 2015, Distilling the Knowledge in a Neural Network",
)
def kd(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: Temperature = 4.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))``, summed over classes.

    Args:
        student: logits ``(N, C)``.
        teacher: logits ``(N, C)``; no gradient.
        temperature: T, above 0; 4 is usual for CIFAR, 1 for ImageNet. One number, a learnable
            scalar, or one value a row.
        reduction: over rows.

    Returns:
        ``()``, or ``(N,)`` without reduction. An empty batch gives 0.

    Raises:
        DataError: logits that do not fit, NaN or infinity.
        SettingError: temperature not above 0.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531.
    """
    student, teacher, squared = _logits(student, teacher, temperature)
    each = _divergence(teacher.log_softmax(1), student.log_softmax(1))
    return reduce(squared * each, reduction)


@objective(
    inputs="logits",
    across_ranks=ROW_BY_ROW,
    ranks="rows",
    source="Zhao et al. 2022, Decoupled Knowledge Distillation, Eq. 7",
)
def dkd(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: Temperature = 4.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """``T^2 (alpha TCKD + beta NCKD)``: the target's share apart from the shape of the rest.

    TCKD is the divergence of (target, all others), NCKD that of the softmax over the others alone.
    With ``beta`` equal to the teacher's mass on the others and ``alpha`` 1 it would be `kd`.

    Args:
        student: logits ``(N, C)``, C at least 2.
        teacher: logits ``(N, C)``; no gradient.
        labels: int64 ``(N,)``.
        alpha: weight of TCKD.
        beta: weight of NCKD.
        temperature: T, above 0; one number, a learnable scalar, or one value a row.
        reduction: over rows.

    Returns:
        ``()``, or ``(N,)`` without reduction. An empty batch gives 0.

    Raises:
        DataError: logits or labels that do not fit, NaN or infinity.
        SettingError: temperature not above 0.

    Source: Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022, Eq. 7.
    """
    student, teacher, squared = _logits(student, teacher, temperature)
    rows, classes = student.shape
    labels = check_integers("labels", labels, rows, classes=classes)
    if classes < 2:
        raise DataError("There must be at least two classes; one has no others to be told from.")
    target = torch.zeros_like(student, dtype=torch.bool)
    target[torch.arange(rows, device=labels.device), labels] = True
    others = [x[~target].view(rows, classes - 1) for x in (teacher, student)]
    shares = [
        torch.stack([x[target], rest.logsumexp(1)], 1).log_softmax(1)
        for x, rest in zip((teacher, student), others, strict=True)
    ]
    among = [rest.log_softmax(1) for rest in others]
    each = alpha * _divergence(*shares) + beta * _divergence(*among)
    return reduce(squared * each, reduction)


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(1)


def _logits(
    student: Tensor, teacher: Tensor, temperature: Temperature
) -> tuple[Tensor, Tensor, Tensor]:
    """Both divided by the temperature of their row, and its square."""
    if student.dim() != 2 or student.shape != teacher.shape:
        raise DataError(
            "student and teacher must have one shape (N, C); got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}."
        )
    check_finite(student=student, teacher=teacher)
    dtype = torch.promote_types(student.dtype, torch.float32)
    scale = inverse_temperature(temperature, len(student), student.to(dtype)).reshape(-1)
    ours, theirs = (x.to(dtype) * scale[:, None] for x in (student, teacher.detach()))
    return ours, theirs, scale.square().reciprocal()


class KD(Loss, function=kd):
    """`counterpoint.objectives.functional.kd` as a module."""

    def __init__(self, *, temperature: float = 4.0, reduction: Reduction = "mean") -> None:
        super().__init__(temperature=temperature, reduction=reduction)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.call(student, teacher)


class DKD(Loss, function=dkd):
    """`counterpoint.objectives.functional.dkd` as a module."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float = 4.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(alpha=alpha, beta=beta, temperature=temperature, reduction=reduction)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return self.call(student, teacher, labels)
