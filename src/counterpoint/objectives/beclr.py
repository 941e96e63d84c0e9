"""BECLR: a student's prediction near the teacher's other view, embeddings spread evenly."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import check_choice, inverse_temperature, prepare, same_rows
from counterpoint.engine.softmax import self_way
from counterpoint.engine.terms import Terms
from counterpoint.errors import DataError
from counterpoint.objectives.registry import Loss, objective

Spread = Literal["SS", "ST", "TT"]

SOURCE = "Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR, arXiv 2402.02444"


@objective(
    inputs="features", across_ranks="a rank spreads its own batch; ranks average it", source=SOURCE
)
def beclr(
    prediction: Tensor,
    teacher: Tensor,
    student: Tensor,
    *,
    temperature: float = 2.0,
    uniformity: float = 0.1,
    spread: Spread = "SS",
) -> Tensor:
    """``-mean_i cos(p_i, sg[t_i']) + lambda log mean_a mean_b exp(cos(u_a, u_b) / t)``.

    All inputs hold the rows of view 1, then those of view 2; i' is the other view of i, and b runs
    over the rows that are neither a nor its other view. The logarithm is taken after the mean over
    anchors, unlike in `dcl`.

    Args:
        prediction: of the student's predictor p, float ``(2n, D)``, n at least 2.
        teacher: projections t of the teacher, float ``(2n, D)``; no gradient.
        student: projections of the student, float ``(2n, D)``.
        temperature: t of the second term, above 0.
        uniformity: lambda, its weight.
        spread: u of both views: ``"SS"`` from the student, ``"ST"`` view 1 from the student and
            view 2 from the teacher, ``"TT"`` from the teacher (then a constant).

    Returns:
        ``()``.

    Raises:
        DataError: embeddings that do not fit, an odd number of rows, a single sample.
        SettingError: a setting out of range.

    Source: Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR, ICLR 2024, arXiv 2402.02444.
    """
    return attraction(prediction, teacher) + uniformity * log_potential(
        teacher, student, temperature=temperature, spread=spread
    )


def attraction(prediction: Tensor, teacher: Tensor) -> Tensor:
    """``-mean_i cos(p_i, sg[t_i'])``, the first term of `beclr`; arguments as there."""
    half = _half(same_rows(prediction=prediction, teacher=teacher))
    p, t = prepare(True, prediction=prediction, teacher=teacher.detach())
    closeness: Tensor = torch.linalg.vecdot(p, t.roll(half, 0))
    return -closeness.mean()


def log_potential(
    teacher: Tensor, student: Tensor, *, temperature: float = 2.0, spread: Spread = "SS"
) -> Tensor:
    """``log mean_a mean_b exp(cos(u_a, u_b) / t)``, the second term of `beclr`; arguments as there.

    Raises:
        DataError: embeddings that do not fit, a single sample.
        SettingError: a setting out of range.
    """
    check_choice(Spread, spread=spread)
    half = _half(same_rows(teacher=teacher, student=student))
    t, s = prepare(True, teacher=teacher.detach(), student=student)
    u = torch.cat([(s if spread[0] == "S" else t)[:half], (s if spread[1] == "S" else t)[half:]])
    scale = inverse_temperature(temperature, len(u), u)
    logs = self_way(
        u,
        scale,
        Terms(excluded=(0, half, -half)),
        pull=torch.zeros_like(u[:, 0]),
        reduction="none",
    )
    return logs.logsumexp(0) - math.log(len(u)) - math.log(len(u) - 2)


@torch.no_grad()
def collapse_monitor(teacher: Tensor) -> Tensor:
    """Mean over dimensions of the unbiased spread of the unit rows ``(N, D)``; 0 when collapsed.

    Source: BECLR, arXiv 2402.02444, authors' code.
    """
    (t,) = prepare(True, teacher=teacher)
    return t.std(0).mean()


def _half(rows: int) -> int:
    if rows % 2 or rows < 4:
        raise DataError(
            f"The rows are those of view 1, then of view 2, of at least 2 samples; got {rows}."
        )
    return rows // 2


class BECLR(Loss, function=beclr):
    """`counterpoint.objectives.functional.beclr` as a module."""

    def __init__(
        self, *, temperature: float = 2.0, uniformity: float = 0.1, spread: Spread = "SS"
    ) -> None:
        super().__init__(temperature=temperature, uniformity=uniformity, spread=spread)

    def forward(self, prediction: Tensor, teacher: Tensor, student: Tensor) -> Tensor:
        return self.call(prediction, teacher, student)
