"""The counting loss: the caption with the right number against captions with wrong ones."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_finite,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.multiview import view_rows
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

Balance = Literal["share", "most_frequent"]

SOURCE = "Paiss et al. 2023, Teaching CLIP to Count to Ten, arXiv 2302.12066"


@objective(
    inputs="views",
    across_ranks="an image has its own loss; ranks of equal batches average it",
    ranks="rows",
    source=SOURCE,
)
def count_to_ten(
    image: Tensor,
    caption: Tensor,
    counterfactual: Tensor,
    temperature: Temperature = 1.0,
    *,
    weights: Tensor | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-log exp(s(i, t) / T) / (exp(s(i, t) / T) + sum_n exp(s(i, cf_n) / T))`` of every image.

    With one counterfactual it is ``softplus((s(i, cf) - s(i, t)) / T)``. Add it to `clip` of all
    pairs with their true captions; counterfactuals are no negatives there. At the published T = 1
    and one counterfactual a loss lies between ``log(1 + e^-2) = 0.127`` and ``2.127``, ``ln 2``
    where both cosines are equal: do not use CLIP's temperature here if weights are to compare.

    Args:
        image: of the counting pairs, float ``(N, D)``; N may be 0.
        caption: with the true number, float ``(N, D)``.
        counterfactual: the caption with another number, float ``(N, D)``, or with several
            ``(N, K, D)`` (the reproduction's "count+": all 8 wrong ones). See
            `counterpoint.views.number_words`.
        temperature: T, positive; one number, a learnable scalar, or one value an image ``(N,)``.
        weights: of every image ``(N,)``, no gradient, see `count_weights`; the mean still divides
            by N.
        normalize: divide every row by its length; a zero vector has cosine 0 with everything.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over images.

    Returns:
        ``()``, or ``(N,)`` without reduction. Without counting pairs: 0.

    Raises:
        DataError: embeddings or weights that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Paiss et al., "Teaching CLIP to Count to Ten", ICCV 2023, arXiv 2302.12066; several
    counterfactuals and weights: the reproduction CountCLIP.
    """
    n = len(image)
    flat, wrong = view_rows(counterfactual)
    if len(caption) != n or len(counterfactual) != n:
        raise DataError(
            f"image has {n} rows, caption {len(caption)} and counterfactual "
            f"{len(counterfactual)}; each needs one an image."
        )
    if n == 0:
        return reduce(image.sum(1) + caption.sum(1), reduction)
    i, t, other = prepare(normalize, image=image, caption=caption, counterfactual=flat)
    scale = inverse_temperature(temperature, n, i)
    true = torch.linalg.vecdot(i, t)
    false = torch.linalg.vecdot(i, other.view(wrong, n, -1))
    ahead = scale * (false - true)
    loss = torch.cat([torch.zeros_like(ahead[:1]), ahead]).logsumexp(0)
    return reduce(loss if weights is None else loss * _checked(weights, n).to(loss), reduction)


def _checked(weights: Tensor, rows: int) -> Tensor:
    check_finite(weights=weights)
    if weights.shape != (rows,) or not bool((weights >= 0).all()):
        raise DataError(f"weights must be ({rows},), finite and at least 0.")
    return weights.detach()


def count_weights(counts: Tensor, occurrences: Tensor, balance: Balance = "share") -> Tensor:
    """Weight of every counting pair against the small numbers that dominate captions.

    ``"share"``: ``1 - n_c / n``; ``"most_frequent"``: ``max n / n_c``, for the number c of a pair.

    Args:
        counts: the number of each pair, int64 ``(N,)``.
        occurrences: how often each number is in the training set, ``(C,)``, at place c; above 0 for
            every number that is asked for.
        balance: which form.

    Returns:
        float32 ``(N,)``.

    Raises:
        DataError: a number that the training set does not have.
        SettingError: unknown balance.

    Source: the reproduction CountCLIP of arXiv 2302.12066.
    """
    check_choice(Balance, balance=balance)
    inside = (counts >= 0) & (counts < len(occurrences))
    if not bool(inside.all()) or not bool((occurrences[counts] > 0).all()):
        raise DataError("counts holds a number that occurs nowhere in the training set.")
    own, all_ = occurrences[counts].float(), occurrences.float()
    return 1 - own / all_.sum() if balance == "share" else all_.max() / own


class CountToTen(Loss, function=count_to_ten):
    """`counterpoint.objectives.functional.count_to_ten` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(temperature=temperature, normalize=normalize, reduction=reduction)

    def forward(
        self,
        image: Tensor,
        caption: Tensor,
        counterfactual: Tensor,
        *,
        weights: Tensor | None = None,
    ) -> Tensor:
        return self.call(image, caption, counterfactual, weights=weights)
