"""SupReMix: contrast of ordered targets with mixtures of the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_finite,
    check_positive,
    check_reduction,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.nearest import best_candidates
from counterpoint.engine.row_function import row_losses
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import DataError
from counterpoint.objectives.multiview import view_rows
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.label_distance import LabelDistance
from counterpoint.pairs.label_mixing import LabelMixtures
from counterpoint.pairs.mixing import mix
from counterpoint.pairs.same_label import SameLabel

SOURCE = "Wu et al. 2023, Mixup Your Own Pairs, arXiv 2309.16633"


@objective(
    inputs="features",
    across_ranks="a rank mixes and contrasts its own batch; ranks of equal batches average it",
    source=SOURCE,
)
def supremix(
    features: Tensor,
    targets: Tensor,
    mixtures: LabelMixtures | None = None,
    temperature: Temperature = 0.5,
    *,
    magnify: bool = True,
    power: float = 1.0,
    detach: bool = True,
    separate_max_shift: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-mean over positives of s + log sum over all of w exp(s)``, mixtures among both.

    Positives of anchor i are the rows of its target and its mixed positives; all other rows and
    mixtures are negatives, weighed by ``w = |t_i - t|^p + 1``. Mixtures come from
    `counterpoint.pairs.label_mixing` and add (N, E) logits, never a matrix of pairs. Without them
    and without ``magnify`` this is `supcon` on equal targets. Rescale targets (0 to 100, say), for
    the weights are in their units.

    Args:
        features: ``(B, V, D)``, V views of every sample; or ``(N, D)``.
        targets: float ``(B,)`` or ``(B, 1)``; equal ones are positives.
        mixtures: of the ``V B`` rows, view by view; None for none.
        temperature: positive; number, learnable scalar or one a row.
        magnify: weigh by the distance of targets; else 1.
        power: p of the weights, above 0; 2 is the squared version of the code.
        detach: mixtures are constants; else the gradient flows through their parts too.
        separate_max_shift: subtract the maxima of real and of mixed logits apart, as the released
            code does; it changes the value.
        normalize: divide every row by its length.
        reduction: over anchors with a positive.

    Returns:
        ``()``, or ``(V B,)`` without reduction.

    Raises:
        DataError: features, targets or mixtures that do not fit, NaN, infinity.
        SettingError: temperature, power or reduction out of range.

    Source: Wu et al., "Mixup Your Own Pairs" (SupReMix), arXiv 2309.16633.
    """
    z, t, scale = _prepared(features, targets, temperature, normalize, reduction)
    settings = (_kernel(magnify, power), reduction)
    if mixtures is None:
        return _contrast(z, t, scale, None, None, None, *settings)
    table = mixtures
    if len(table.role) != len(z):
        raise DataError(f"There are mixtures of {len(table.role)} anchors and {len(z)} rows.")

    def mixed(logits: Tensor, i: Tensor, j: Tensor) -> Tensor:
        rows = i[:, 0]
        w = table.weight[rows].to(logits)
        first, second = (logits.gather(1, x[rows]) for x in (table.first, table.second))
        return mix(first, second, w)

    logits = row_losses(mixed, z, z.detach() if detach else z, scale)
    if separate_max_shift:
        top = logits.detach().masked_fill(table.role < 0, 0.0).amax(1).clamp(min=0)
        logits = logits + (_real_top(z, scale) - top)[:, None]
    return _contrast(z, t, scale, logits, table.role, table.targets, *settings)


def supremix_points(
    features: Tensor,
    targets: Tensor,
    points: Tensor,
    role: Tensor,
    point_targets: Tensor,
    temperature: Temperature = 0.5,
    *,
    magnify: bool = True,
    power: float = 1.0,
    separate_max_shift: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """`supremix` of mixtures that are given as vectors.

    Args:
        features: as in `supremix`.
        targets: as in `supremix`.
        points: constants ``(N, E, D)``, used as they are. With ``separate_max_shift`` those without
            a role count in the maximum.
        role: 1 positive, 0 negative, -1 none, int64 ``(N, E)``.
        point_targets: ``(N, E)``.
        temperature: as in `supremix`, and so the rest.
        magnify: weigh by the distance of targets.
        power: p of the weights.
        separate_max_shift: as released.
        normalize: divide the rows of ``features`` by their length.
        reduction: over anchors with a positive.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: shapes that do not fit, NaN, infinity.
        SettingError: temperature, power or reduction out of range.

    Source: Wu et al., "Mixup Your Own Pairs" (SupReMix), arXiv 2309.16633, released code.
    """
    z, t, scale = _prepared(features, targets, temperature, normalize, reduction)
    if points.dim() != 3 or len(points) != len(z) or points.shape[2] != z.shape[1]:
        raise DataError(f"points must be ({len(z)}, E, {z.shape[1]}), got {tuple(points.shape)}.")
    logits = torch.einsum("nd,ned->ne", z, points.detach().to(z)) * scale.reshape(-1, 1)
    if separate_max_shift:
        top = logits.detach().amax(1)
        logits = logits + (_real_top(z, scale) - top)[:, None]
    return _contrast(z, t, scale, logits, role, point_targets, _kernel(magnify, power), reduction)


def _prepared(
    features: Tensor,
    targets: Tensor,
    temperature: Temperature,
    normalize: bool,
    reduction: Reduction,
) -> tuple[Tensor, Tensor, Tensor]:
    check_reduction(reduction)
    rows, views = view_rows(features)
    (z,) = prepare(normalize, features=rows)
    t = targets.detach().to(z).reshape(-1)
    if len(t) * views != len(z):
        raise DataError(f"targets must be ({len(z) // views},), got {tuple(targets.shape)}.")
    check_finite(targets=t)
    return z, t.repeat(views), inverse_temperature(temperature, len(z), z)


def _kernel(magnify: bool, power: float) -> Callable[[Tensor], Tensor] | None:
    check_positive(power=power)
    return (lambda d: d**power + 1) if magnify else None


def _real_top(z: Tensor, scale: Tensor) -> Tensor:
    tops: Tensor = (scale * torch.linalg.vecdot(z, z[best_candidates(z, z)])).detach()
    return tops


def _contrast(
    z: Tensor,
    t: Tensor,
    scale: Tensor,
    mixed: Tensor | None,
    role: Tensor | None,
    mixed_targets: Tensor | None,
    kernel: Callable[[Tensor], Tensor] | None,
    reduction: Reduction,
) -> Tensor:
    _, place, sizes = torch.unique(t, return_inverse=True, return_counts=True)
    mean, _ = SameLabel(place).attraction(z)
    count = (sizes[place] - 1).to(z)
    pull = count * scale * torch.linalg.vecdot(z, mean)
    extra = None
    if mixed is not None and role is not None and mixed_targets is not None:
        positive = role == 1
        pull = pull + mixed.where(positive, 0.0).sum(1)
        count = count + positive.sum(1)
        if kernel:
            mixed = mixed + kernel((t[:, None] - mixed_targets.detach().to(t)).abs()).log()
        extra = mixed.masked_fill(role < 0, -torch.inf)
    weight = LabelDistance(t, t, kernel) if kernel else None
    loss, _ = one_way(
        z,
        z,
        scale,
        Terms(excluded=(0,), weight=weight),
        pull=pull / count.clamp(min=1),
        counted=count > 0,
        extra=extra,
        reduction=reduction,
    )
    return loss


class SupReMix(Loss, function=supremix):
    """`counterpoint.objectives.functional.supremix` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.5,
        *,
        magnify: bool = True,
        power: float = 1.0,
        detach: bool = True,
        separate_max_shift: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            magnify=magnify,
            power=power,
            detach=detach,
            separate_max_shift=separate_max_shift,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self, features: Tensor, targets: Tensor, mixtures: LabelMixtures | None = None
    ) -> Tensor:
        return self.call(features, targets, mixtures=mixtures)
