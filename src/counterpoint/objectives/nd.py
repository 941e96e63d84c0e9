"""ND: a student's feature points along the teacher's class mean, and is long."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_finite, check_integers
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="features",
    across_ranks="a row has its own loss; ranks of equal batches average it",
    ranks="rows",
    source="Wang et al. 2024, Improving Knowledge Distillation via Regularizing Feature Norm and "
    "Direction, arXiv 2305.17007",
)
def nd(
    student: Tensor,
    teacher: Tensor,
    means: Tensor,
    labels: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """``1 - s . e / max(||s||, ||t||)``, ``e`` the unit class mean of the label; in [0, 2].

    Where the student is shorter than the teacher the gradient is ``-e / ||t||``: longer and towards
    e. Where it is longer the term is ``1 - cos(s, e)``: direction only. The maximum is not
    detached; at a tie it is the student's length. Add it, times 0.5 to 4 (paper), to any
    distillation loss such as `kd`, the latter times ``min(1, epoch / 20)``.

    Args:
        student: penultimate features ``(N, D)``, neither normalised nor centred, brought to the
            teacher's width if need be.
        teacher: features of the same samples ``(N, D)``; no gradient.
        means: mean teacher feature of every class ``(C, D)``; or, without labels, one centre a
            sample ``(N, D)``, for samples of mixed labels. No gradient.
        labels: int64 ``(N,)``.
        reduction: over rows.

    Returns:
        ``()``, or ``(N,)`` without reduction. An empty batch gives 0. A student feature of zero
        gives 1, with gradient 0 if the teacher's is zero too.

    Raises:
        DataError: shapes or labels that do not fit, NaN or infinity, a class whose mean is zero.

    Source: Wang et al., "Improving Knowledge Distillation via Regularizing Feature Norm and
    Direction", ECCV 2024, arXiv 2305.17007.
    """
    if student.dim() != 2 or student.shape != teacher.shape:
        raise DataError(
            "student and teacher must have one shape (N, D); got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}."
        )
    dtype = torch.promote_types(student.dtype, torch.float32)
    check_finite(student=student, teacher=teacher, means=means)
    s, t, centres = (x.to(dtype) for x in (student, teacher.detach(), means.detach()))
    towards = _directions(centres, labels, s)
    length, reach = torch.linalg.vector_norm(s, dim=1), torch.linalg.vector_norm(t, dim=1)
    longer = torch.where(length >= reach, length, reach)
    there = longer > 0
    share = torch.linalg.vecdot(s, towards) / longer.where(there, 1.0)
    return reduce(1 - share.where(there, 0.0), reduction)


def _directions(centres: Tensor, labels: Tensor | None, s: Tensor) -> Tensor:
    """Unit centre of every sample."""
    rows, width = s.shape
    if centres.dim() != 2 or centres.shape[1] != width:
        raise DataError(f"means must be (C, {width}); got {tuple(centres.shape)}.")
    if labels is None:
        if len(centres) != rows:
            raise DataError(f"Without labels, means needs one row a sample, {rows}.")
        labels = torch.arange(rows, device=s.device)
    labels = check_integers("labels", labels, rows)
    outside = ((labels < 0) | (labels >= len(centres))).nonzero().flatten()
    if len(outside):
        raise DataError(
            f"There is no mean for label {int(labels[outside[0]])} of row {int(outside[0])}; "
            f"means has {len(centres)} rows."
        )
    chosen = centres[labels]
    length: Tensor = torch.linalg.vector_norm(chosen, dim=1, keepdim=True)
    zero = (length == 0).nonzero()
    if len(zero):
        raise DataError(
            f"The mean of label {int(labels[zero[0, 0]])} is zero, so it has no direction. "
            "Leave the class out, or look for dead features of the teacher."
        )
    return chosen.div(length)


class ND(Loss, function=nd):
    """`counterpoint.objectives.functional.nd` as a module."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(
        self, student: Tensor, teacher: Tensor, means: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        return self.call(student, teacher, means=means, labels=labels)
