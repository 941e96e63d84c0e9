"""ConR: rows with like predictions but unlike labels are pushed apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_finite,
    check_not_negative,
    check_reduction,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.ranks import peer_rows
from counterpoint.engine.softmax import row_way
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.registry import Loss, objective

Push = Literal["exponential", "linear"]


@objective(
    inputs="features",
    across_ranks="positives and negatives are the rows of all ranks; mean over all rows",
    source="Keramati et al. 2024, ConR: Contrastive Regularizer for Deep Imbalanced Regression, "
    "arXiv 2309.06651",
)
def conr(
    features: Tensor,
    targets: Tensor,
    predictions: Tensor,
    weights: Tensor | None = None,
    temperature: Temperature = 0.07,
    *,
    window: float = 1.0,
    sharpness: float = 0.01,
    push: Push = "exponential",
    row_constant: bool = True,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """``v_j (log D_j - 1/|K+| sum_{K+} c_jk)`` where an anchor is confused with others, else 0.

    With cosines over the temperature ``c``, ``K+`` the other rows whose target is within the
    window, ``K-`` those beyond it whose prediction is within it, and pushing weights
    ``S_jk = v_j exp(e |y_j - y_k|)``::

        D_j = sum_{K+} exp(c_jk) + sum_{K-} S_jk exp(c_jk)   [ + N - |K+| with row_constant ]

    An anchor with an empty ``K-`` gives 0, and so does one without positives; all rows count in the
    mean, so the term fades as confusions vanish. ``push="linear"`` is the form for depth maps:
    ``S_jk = v_j e |y_j - y_k|``, the sum of positives is divided by ``|K+| + 1``, no factor v_j.

    Add it to a regression loss, ``L + beta conr``; two views of a sample are two rows. beta is 4
    on ages (released), 0.2 on depths; large values harm.

    Args:
        features: before the regression layer ``(N, D)``; normalised here.
        targets: float ``(N,)``, ``(N, 1)`` or ``(N, L)``, compared by mean absolute difference.
        predictions: like the targets; no gradient.
        weights: v, positive, mean 1 ``(N,)`` or ``(N, 1)``; None for 1.
        temperature: positive; number, learnable scalar or one a row.
        window: w >= 0, in units of targets and predictions; a gap of w is similar.
        sharpness: e >= 0, a unit of the target.
        push: see above.
        row_constant: add 1 to the denominator for every column that is no positive, as the released
            code does; False is the formula of the paper.
        reduction: over all rows.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: inputs that do not fit, NaN, infinity, weights not above 0.
        SettingError: a setting out of range.

    Source: Keramati et al., "ConR", ICLR 2024, arXiv 2309.06651, released age and depth forms.
    """
    check_reduction(reduction)
    check_choice(Push, push=push)
    check_not_negative(window=window, sharpness=sharpness)
    (z,) = prepare(True, features=features)
    scale = inverse_temperature(temperature, len(z), z)
    y, p = _columns("targets", targets, z), _columns("predictions", predictions, z)
    v = _weights(weights, z)
    if across_ranks:
        y, p, v = peer_rows(y), peer_rows(p), peer_rows(v)
    linear = push == "linear"

    def loss(logits: Tensor, i: Tensor, j: Tensor) -> Tensor:
        rows = i[:, 0]
        gaps = _gaps(y[rows], y)
        alike = gaps <= window
        positive = alike & (i != j)
        negative = ~alike & (_gaps(p[rows], p) <= window)
        own = v[rows, None]
        strength = (own * sharpness * gaps).log() if linear else own.log() + sharpness * gaps
        terms = torch.where(positive, logits, logits + strength)
        terms = terms.masked_fill(~(positive | negative), -torch.inf)
        count = positive.sum(1).to(logits.dtype)
        if row_constant:
            terms = torch.cat([terms, (len(y) - count).log()[:, None]], 1)
        kept = negative.any(1) & (count > 0)
        denominators = terms.masked_fill(~kept[:, None], 0.0).logsumexp(1)
        pull = logits.masked_fill(~positive, 0.0).sum(1)
        if linear:
            values = (count * denominators - pull) / (count + 1)
        else:
            values = own[:, 0] * (denominators - pull / count.clamp(min=1))
        return values.where(kept, 0.0)

    return row_way(loss, z, z, scale, reduction=reduction, across_ranks=across_ranks)


def _gaps(a: Tensor, b: Tensor) -> Tensor:
    if a.shape[1] == 1:
        return (a - b.T).abs()
    return torch.cdist(a, b, p=1) / a.shape[1]


def _columns(name: str, values: Tensor, z: Tensor) -> Tensor:
    if values.dim() not in (1, 2) or len(values) != len(z) or values.numel() == 0:
        raise DataError(f"{name} must be ({len(z)},) or ({len(z)}, L), got {tuple(values.shape)}.")
    values = values.detach().to(z).reshape(len(z), -1)
    check_finite(**{name: values})
    return values


def _weights(weights: Tensor | None, z: Tensor) -> Tensor:
    if weights is None:
        return torch.ones_like(z[:, 0])
    v = _columns("weights", weights, z)
    if v.shape[1] != 1 or not bool((v > 0).all()):
        raise DataError("weights must hold one number above 0 a row.")
    return v[:, 0]


class ConR(Loss, function=conr):
    """`counterpoint.objectives.functional.conr` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        *,
        window: float = 1.0,
        sharpness: float = 0.01,
        push: Push = "exponential",
        row_constant: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            window=window,
            sharpness=sharpness,
            push=push,
            row_constant=row_constant,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(
        self,
        features: Tensor,
        targets: Tensor,
        predictions: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        return self.call(features, targets, predictions, weights=weights)
