"""CLIP's loss with alignment and uniformity, against the gap between the two modalities."""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple

from torch import Tensor, nn

from counterpoint.engine.checks import Temperature, check_choice, check_positive, prepare, same_rows
from counterpoint.objectives.clip import clip
from counterpoint.objectives.potential import log_mean_potential, log_sum_potential
from counterpoint.objectives.registry import Loss, objective

Variant = Literal["released", "paper"]

SOURCE = (
    "Fahim et al. 2024, It's Not a Modality Gap: Characterizing and Addressing the Contrastive "
    "Gap, arXiv 2405.18570"
)
ONE_PAIR = "Uniformity is a mean over distinct samples; a single pair has none, so it is 0."


class Parts(NamedTuple):
    """The terms of `contrastive_gap` without their weights, each ``()``."""

    contrastive: Tensor
    uniformity: Tensor
    cross_uniformity: Tensor
    alignment: Tensor


def contrastive_gap_parts(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 0.01,
    *,
    t: float = 2.0,
    variant: Variant = "released",
    normalize: bool = True,
) -> Parts:
    """The terms of `contrastive_gap`; arguments and errors as there.

    Source: Fahim et al. 2024, arXiv 2405.18570, authors' code.
    """
    x, y = _prepared(x, y, t, variant, normalize)
    return Parts(
        clip(x, y, temperature, normalize=False),
        _uniformity(x, y, t, variant),
        _cross_uniformity(x, y, t, variant),
        _alignment(x, y),
    )


@objective(
    inputs="views",
    across_ranks="a rank takes all terms of its own batch; ranks of equal batches average them",
    source=SOURCE,
)
def contrastive_gap(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 0.01,
    *,
    contrastive_weight: float = 1.0,
    uniformity_weight: float = 1.0,
    cross_uniformity_weight: float = 1.0,
    alignment_weight: float = 1.0,
    t: float = 2.0,
    variant: Variant = "released",
    normalize: bool = True,
) -> Tensor:
    """``L_CUAXU = clip + uniformity + cross uniformity + alignment``, each with its weight.

    ::

        uniformity       = mean over both modalities of log mean_{j<k} exp(-t ||e_j - e_k||^2)
        cross uniformity = log mean_{j != k} exp(-t ||x_j - y_k||^2)
        alignment        = mean_j ||x_j - y_j||^2

    ``cross_uniformity_weight=0`` is the paper's ``L_CUA``; with ``contrastive_weight`` alone it is
    `clip`. The added terms act mostly once the contrastive one is small, and at a low temperature:
    at 0.07 the gap is small anyway.

    Args:
        x: one modality, float ``(N, D)``.
        y: the other, float ``(N, D)``; row i belongs to row i of x.
        temperature: of `clip`; the paper keeps it fixed.
        contrastive_weight: of `clip`. A term of weight 0 is not computed.
        uniformity_weight: of the uniformity inside the modalities.
        cross_uniformity_weight: of that between them, over pairs that do not match.
        alignment_weight: of the alignment.
        t: sharpness of the potentials, above 0.
        variant: ``"released"``, the authors' code, or ``"paper"``, whose uniformities are
            ``log (1/N sum)``, that inside a modality with ``j = k``. Self-pairs damp its gradient.
        normalize: divide every row by its length.

    Returns:
        ``()``. With N = 1 both uniformities are 0, with a warning.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: temperature, t or variant out of range.

    Source: Fahim et al. 2024, It's Not a Modality Gap: Characterizing and Addressing the
    Contrastive Gap, arXiv 2405.18570, authors' code.
    """
    x, y = _prepared(x, y, t, variant, normalize)
    total = x.new_zeros(())
    if contrastive_weight:
        total = total + contrastive_weight * clip(x, y, temperature, normalize=False)
    if uniformity_weight:
        total = total + uniformity_weight * _uniformity(x, y, t, variant)
    if cross_uniformity_weight:
        total = total + cross_uniformity_weight * _cross_uniformity(x, y, t, variant)
    if alignment_weight:
        total = total + alignment_weight * _alignment(x, y)
    return total


def _prepared(
    x: Tensor, y: Tensor, t: float, variant: Variant, normalize: bool
) -> tuple[Tensor, Tensor]:
    check_positive(t=t)
    check_choice(Variant, variant=variant)
    same_rows(x=x, y=y)
    x, y = prepare(normalize, x=x, y=y)
    return x, y


def _uniformity(x: Tensor, y: Tensor, t: float, variant: Variant) -> Tensor:
    def inside(z: Tensor) -> Tensor:
        if variant == "paper":
            return log_sum_potential(z, z, t, own=True) - math.log(len(z))
        return log_mean_potential(z, z, t)

    return _nothing(x) if len(x) == 1 else (inside(x) + inside(y)) / 2


def _cross_uniformity(x: Tensor, y: Tensor, t: float, variant: Variant) -> Tensor:
    if len(x) == 1:
        return _nothing(x)
    if variant == "paper":
        return log_sum_potential(x, y, t) - math.log(len(x))
    return log_mean_potential(x, y, t)


def _alignment(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().sum(1).mean()


def _nothing(x: Tensor) -> Tensor:
    warnings.warn(ONE_PAIR, stacklevel=4)
    return 0.0 * x.sum()


class ContrastiveGap(Loss, function=contrastive_gap):
    """`counterpoint.objectives.functional.contrastive_gap` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.01,
        *,
        contrastive_weight: float = 1.0,
        uniformity_weight: float = 1.0,
        cross_uniformity_weight: float = 1.0,
        alignment_weight: float = 1.0,
        t: float = 2.0,
        variant: Variant = "released",
        normalize: bool = True,
    ) -> None:
        super().__init__(
            temperature=temperature,
            contrastive_weight=contrastive_weight,
            uniformity_weight=uniformity_weight,
            cross_uniformity_weight=cross_uniformity_weight,
            alignment_weight=alignment_weight,
            t=t,
            variant=variant,
            normalize=normalize,
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call(x, y)
