"""LAF: unlearning without labels, by what auto-encoders of the old representations can explain.

All are sums over the batch as published, so that rates of learning depend on the batch size.
"""

from __future__ import annotations

from torch import Tensor

from counterpoint.engine.checks import Temperature, check_finite, inverse_temperature
from counterpoint.errors import DataError
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Shen et al. 2024, Label-Agnostic Forgetting, arXiv 2404.00506"
ACROSS_RANKS = (
    "sums over a rank's own batch; the remaining and forgetting rows must be paired there"
)
COSINE_FLOOR = 1e-12
"""Added to squared lengths; a zero embedding has cosine 0 and a gradient of the order 1e6."""
VARIANCE_FLOOR = 1e-8


@objective(inputs="features", across_ranks=ACROSS_RANKS, source=SOURCE)
def laf_unlearning(
    remaining: Tensor,
    remaining_rebuilt: Tensor,
    forgetting: Tensor,
    forgetting_rebuilt: Tensor,
) -> Tensor:
    """``R(V_r, remaining) - R(V_f, forgetting)``, ``R = sum_i exp(d_i / (d_i + 1))``.

    ``d_i = ||V(e_i) - e_i||^2``: remaining data stay well explained by their auto-encoder V_r,
    those to forget become badly explained by theirs. Each summand is in [1, e). Do not detach the
    rebuilt side: the gradient reaches the extractor through both.

    Args:
        remaining: representations ``(B_r, D)`` of data to keep.
        remaining_rebuilt: their reconstructions by V_r ``(B_r, D)``.
        forgetting: representations ``(B_f, D)`` of data to forget.
        forgetting_rebuilt: their reconstructions by V_f ``(B_f, D)``.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, NaN or infinity.

    Source: Shen et al., "Label-Agnostic Forgetting: A Supervision-Free Unlearning in Deep Models",
    ICLR 2024, arXiv 2404.00506.
    """
    keep = squashed_error(remaining, remaining_rebuilt, name="remaining")
    return keep - squashed_error(forgetting, forgetting_rebuilt, name="forgetting")


def squashed_error(target: Tensor, rebuilt: Tensor, *, name: str = "target") -> Tensor:
    """``sum_i exp(d_i / (d_i + 1))``, ``d_i = ||rebuilt_i - target_i||^2``, of ``(B, D)`` each."""
    _check(**{name: target, f"{name}_rebuilt": rebuilt})
    error = (rebuilt - target).square().sum(1)
    return (error / (error + 1)).exp().sum()


@objective(inputs="features", across_ranks=ACROSS_RANKS, source=SOURCE)
def laf_alignment(
    remaining: Tensor,
    remaining_teacher: Tensor,
    forgetting: Tensor,
    forgetting_teacher: Tensor,
    *,
    temperature: Temperature = 20.0,
) -> Tensor:
    """``sum_i c_i - B_r log sum_j exp(c_j / t)``, ``c = 1 - cos(student, teacher)``.

    i runs over the remaining data, which are pulled to the original model's representations, j over
    those to forget, which are pushed away, most where they already are. The temperature divides the
    second part only. Where student and teacher agree it is ``-B_r log B_f``.

    Args:
        remaining: representations by the student ``(B_r, D)``.
        remaining_teacher: by the original model ``(B_r, D)``; no gradient.
        forgetting: ``(B_f, D)``, B_f at least 1.
        forgetting_teacher: ``(B_f, D)``; no gradient.
        temperature: above 0; the paper has 5 or 20. One number, a learnable scalar, or one value a
            row to forget.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, NaN or infinity; no row to forget: skip the step.
        SettingError: temperature not above 0.

    Source: Shen et al., ICLR 2024, arXiv 2404.00506.
    """
    if len(forgetting) == 0:
        raise DataError("forgetting holds no row, so there is nothing to push; skip this step.")
    _check(remaining=remaining, remaining_teacher=remaining_teacher)
    _check(forgetting=forgetting, forgetting_teacher=forgetting_teacher)
    kept = _cosine_distance(remaining, remaining_teacher.detach())
    lost = _cosine_distance(forgetting, forgetting_teacher.detach())
    scale = inverse_temperature(temperature, len(lost), lost)
    return kept.sum() - len(kept) * (lost * scale).logsumexp(0)


@objective(
    inputs="features", across_ranks="mean over a rank's own batch", ranks="rows", source=SOURCE
)
def laf_autoencoder(
    rebuilt: Tensor, target: Tensor, mean: Tensor, deviation: Tensor, *, kl_weight: float = 0.025
) -> Tensor:
    """``1/B sum ||e' - e||^2 - kl_weight / (2B) sum (log(s^2 + 1e-8) + 1 - m^2 - s^2)``.

    The loss of the auto-encoders of `laf_unlearning`; see `counterpoint.encoders.autoencoder`.

    Args:
        rebuilt: reconstructions ``(B, D)``.
        target: representations of the frozen original model ``(B, D)``; no gradient.
        mean: of the code ``(B, L)``.
        deviation: standard deviation of the code ``(B, L)``.
        kl_weight: weight of the divergence from the unit normal.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, NaN or infinity, an empty batch.

    Source: Shen et al., ICLR 2024, arXiv 2404.00506; Kingma and Welling 2014.
    """
    _check(rebuilt=rebuilt, target=target)
    _check(mean=mean, deviation=deviation)
    if len(rebuilt) == 0 or len(mean) != len(rebuilt):
        raise DataError(f"rebuilt has {len(rebuilt)} rows and mean {len(mean)}; both need B > 0.")
    error = (rebuilt - target.detach()).square().sum()
    variance = deviation.square()
    divergence = -0.5 * ((variance + VARIANCE_FLOOR).log() + 1 - mean.square() - variance).sum()
    return (error + kl_weight * divergence) / len(rebuilt)


def _cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    lengths = (a.square().sum(1) + COSINE_FLOOR) * (b.square().sum(1) + COSINE_FLOOR)
    return 1 - (a * b).sum(1) / lengths.sqrt()


def _check(**pair: Tensor) -> None:
    (first, x), (second, y) = pair.items()
    if x.dim() != 2 or x.shape != y.shape:
        raise DataError(
            f"{first} and {second} must have one shape of two axes; "
            f"got {tuple(x.shape)} and {tuple(y.shape)}."
        )
    check_finite(**pair)


class LAFUnlearning(Loss, function=laf_unlearning):
    """`counterpoint.objectives.functional.laf_unlearning` as a module."""

    def forward(
        self,
        remaining: Tensor,
        remaining_rebuilt: Tensor,
        forgetting: Tensor,
        forgetting_rebuilt: Tensor,
    ) -> Tensor:
        return self.call(remaining, remaining_rebuilt, forgetting, forgetting_rebuilt)


class LAFAlignment(Loss, function=laf_alignment):
    """`counterpoint.objectives.functional.laf_alignment` as a module."""

    def __init__(self, *, temperature: float = 20.0) -> None:
        super().__init__(temperature=temperature)

    def forward(
        self,
        remaining: Tensor,
        remaining_teacher: Tensor,
        forgetting: Tensor,
        forgetting_teacher: Tensor,
    ) -> Tensor:
        return self.call(remaining, remaining_teacher, forgetting, forgetting_teacher)


class LAFAutoencoder(Loss, function=laf_autoencoder):
    """`counterpoint.objectives.functional.laf_autoencoder` as a module."""

    def __init__(self, *, kl_weight: float = 0.025) -> None:
        super().__init__(kl_weight=kl_weight)

    def forward(self, rebuilt: Tensor, target: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        return self.call(rebuilt, target, mean, deviation)
