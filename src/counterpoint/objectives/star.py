"""STAR: supervised contrast of many authors with many texts, as described and as released."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_integers,
    check_not_negative,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.nearest import best_candidates
from counterpoint.engine.similarity import unit_rows
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import SettingError
from counterpoint.objectives.clip import clip
from counterpoint.objectives.multiview import view_rows
from counterpoint.objectives.registry import Loss, objective
from counterpoint.objectives.supcon import supcon
from counterpoint.pairs.same_label import SameLabel

Variant = Literal["paper", "released"]
RELEASED_SCALE = 100.0
RELEASED_FLOOR = 1e-12


@objective(
    inputs="features",
    across_ranks="'paper' without floor: rows of all ranks, mean over all anchors; else refused",
    source="Huertas-Tato et al. 2023, Understanding writing style in social media with a "
    "supervised contrastively pre-trained transformer, arXiv 2310.11081",
)
def star(
    features: Tensor,
    labels: Tensor,
    temperature: Temperature = 0.07,
    *,
    variant: Variant = "paper",
    floor: float | None = None,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """`supcon` over the texts of all authors: every other text of the author is a positive.

    ``-1/|P(i)| sum_{p in P(i)} S_ip + log(sum_{j != i} exp(S_ij) + floor exp(max_j S_ij))``

    ``"paper"``: ``S`` is the cosine over the temperature, and the floor 0. ``"released"``: the
    second factor is normalised per feature over all rows instead, ``S_ij = a z_i . c_j`` with
    ``c_jd = f_jd / sqrt(sum_k f_kd^2)``; ``temperature`` is the trained number t, of which only
    ``a = max(exp(t), 100)`` enters (so it learns nothing); the floor is 1e-12. The row maximum
    counts the row itself, so a floor stops the repulsion where all cosines lie far below 1.

    Use it with batches of many authors (1024 with 16 texts) through gradient caching. More texts an
    author lower the variance of the gradient, not its mean.

    Args:
        features: ``(B, V, D)``, V texts of each author; or ``(N, D)``.
        labels: author of each row of B, int64 ``(B,)``; rows of one author are positives too. -1
            where unknown: such a row has no positives, not even its other views.
        temperature: positive; number, learnable scalar, or one a row ``(V B,)``.
        variant: see above.
        floor: see above; None takes that of the variant.
        reduction: over the V B anchors; those without positives are left out.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``, or ``(V B,)`` without reduction, view by view.

    Raises:
        DataError: features or labels that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Huertas-Tato et al. 2023, arXiv 2310.11081, and its released ``SupConLoss``.
    """
    check_reduction(reduction)
    check_choice(Variant, variant=variant)
    rows, views = view_rows(features)
    labels = check_integers("labels", labels, len(rows) // views).repeat(views)
    released = variant == "released"
    floor = (RELEASED_FLOOR if released else 0.0) if floor is None else floor
    check_not_negative(floor=floor)
    if not released and floor == 0:
        return supcon(rows, labels, temperature, reduction=reduction, across_ranks=across_ranks)
    if across_ranks:
        raise SettingError("The released form and a floor are of one process; leave across_ranks.")
    (raw,) = prepare(False, features=rows)
    z = unit_rows(raw)
    columns = _unit_columns(raw) if released else z
    if released:
        logarithm = torch.as_tensor(temperature, dtype=z.dtype, device=z.device)
        scale = logarithm.reshape(()).exp().clamp(min=RELEASED_SCALE)
    else:
        scale = inverse_temperature(temperature, len(z), z)
    return _floored(z, columns, scale, labels, floor, reduction)


def _floored(
    z: Tensor, columns: Tensor, scale: Tensor, labels: Tensor, floor: float, reduction: Reduction
) -> Tensor:
    towards, counted = SameLabel(labels).attraction(columns)
    extra = None
    if floor:
        best = columns[best_candidates(z, columns)]
        extra = (scale * torch.linalg.vecdot(z, best)).detach()[:, None] + math.log(floor)
    loss, _ = one_way(
        z,
        columns,
        scale,
        Terms(excluded=(0,)),
        pull=scale * torch.linalg.vecdot(z, towards),
        counted=counted,
        extra=extra,
        reduction=reduction,
    )
    return loss


def star_validation(
    anchors: Tensor, replicas: Tensor, t: Temperature = 0.07
) -> tuple[Tensor, Tensor]:
    """The released validation loss and its accuracy.

    `clip` of ``S = min(exp(t), 100) z c'``, ``z`` the unit anchors and ``c`` the replicas
    normalised per feature over their rows; the accuracy is the share of rows and of columns of
    ``S`` whose largest entry is the diagonal one.

    Args:
        anchors: ``(N, D)``.
        replicas: other texts of the same authors ``(N, D)``.
        t: the trained number.

    Returns:
        The loss ``()``, with gradient in t too; the accuracy ``()``.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.

    Source: Huertas-Tato et al. 2023, arXiv 2310.11081, released ``InfoNCELoss``.
    """
    same_rows(anchors=anchors, replicas=replicas)
    a, b = prepare(False, anchors=anchors, replicas=replicas)
    z, columns = unit_rows(a), _unit_columns(b)
    logarithm = torch.as_tensor(t, dtype=z.dtype, device=z.device)
    scale = logarithm.reshape(()).exp().clamp(max=RELEASED_SCALE)
    loss = clip(z, columns, 1 / scale, normalize=False)
    own = torch.arange(len(z), device=z.device)
    best = torch.cat([best_candidates(z, columns), best_candidates(columns, z)])
    return loss, (best == own.repeat(2)).to(z.dtype).mean()


def _unit_columns(x: Tensor) -> Tensor:
    return unit_rows(x.T.contiguous()).T.contiguous()


class STAR(Loss, function=star):
    """`counterpoint.objectives.functional.star` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        *,
        variant: Variant = "paper",
        floor: float | None = None,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            variant=variant,
            floor=floor,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.call(features, labels)
