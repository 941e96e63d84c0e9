"""DCL and DCLW: the positive pair is left out of the denominator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_positive,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.ranks import gathered_rows
from counterpoint.engine.softmax import one_way, self_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.objectives.decoupled import left_out
from counterpoint.objectives.duplicates import in_views
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Yeh et al. 2022, Decoupled Contrastive Learning, arXiv 2110.06848"


@objective(
    inputs="two views",
    across_ranks="negatives are the rows of both views on all ranks; mean over all anchors",
    source=SOURCE,
)
def dcl(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature = 0.1,
    *,
    symmetric: bool = True,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-s(i, i') / t + log sum_{j not in {i, i'}} exp(s(i, j) / t)``, i' the other view of i.

    j runs over the 2N - 2 rows of both views that are neither the anchor nor its positive.

    Args:
        z1: first view, float ``(N, D)``, N at least 2.
        z2: second view, float ``(N, D)``.
        temperature: positive; one number, a learnable scalar, or one value an anchor.
        symmetric: anchors are the rows of both views (2N), else those of z1 (N).
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors, z1's first.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or one value an anchor without reduction. It has no lower bound of 0. An anchor
        left without negatives by ``ids`` has no second term.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity, a single sample.
        SettingError: temperature or reduction out of range.

    Source: Yeh et al. 2022, Decoupled Contrastive Learning, arXiv 2110.06848, ``L_DC``.
    """
    return _decoupled(
        z1, z2, temperature, None, True, symmetric, normalize, reduction, ids, across_ranks
    )


@objective(
    inputs="two views",
    across_ranks=(
        "negatives are the rows of both views on all ranks, and the weights average to 1 over "
        "them; mean over all anchors"
    ),
    source=SOURCE,
)
def dclw(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature = 0.1,
    *,
    sigma: float = 0.5,
    symmetric: bool = True,
    detach_weight: bool = True,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``-w_i s(i, i') / t + log sum_{j not in {i, i'}} exp(s(i, j) / t)``.

    ``w`` are the `von_mises_fisher_weights`: above 1 for positives that are far apart.

    Args:
        z1: first view, float ``(N, D)``, N at least 2.
        z2: second view, float ``(N, D)``.
        temperature: positive; one number, a learnable scalar, or one value an anchor.
        sigma: temperature of the weights, positive.
        symmetric: anchors are the rows of both views (2N), else those of z1 (N).
        detach_weight: no gradient flows through the weights.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors, z1's first.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or one value an anchor without reduction.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity, a single sample.
        SettingError: temperature, sigma or reduction out of range.

    Source: Yeh et al. 2022, Decoupled Contrastive Learning, arXiv 2110.06848, ``L_DCW``.
    """
    return _decoupled(
        z1,
        z2,
        temperature,
        sigma,
        detach_weight,
        symmetric,
        normalize,
        reduction,
        ids,
        across_ranks,
    )


def von_mises_fisher_weights(
    z1: Tensor, z2: Tensor, sigma: float = 0.5, *, normalize: bool = True
) -> Tensor:
    """``2 - N softmax_i(s(i, i') / sigma)``: weights ``(N,)`` of mean 1, which may be negative.

    Args:
        z1: first view, float ``(N, D)``.
        z2: second view, float ``(N, D)``.
        sigma: positive.
        normalize: divide every row by its length.

    Raises:
        DataError: embeddings that do not fit.
        SettingError: sigma out of range.

    Source: Yeh et al. 2022, Decoupled Contrastive Learning, arXiv 2110.06848.
    """
    same_rows(z1=z1, z2=z2)
    z1, z2 = prepare(normalize, z1=z1, z2=z2)
    return _weights(torch.linalg.vecdot(z1, z2), sigma, False)


def _weights(positives: Tensor, sigma: float, across_ranks: bool) -> Tensor:
    check_positive(sigma=sigma)
    logits = positives / sigma
    everyone = gathered_rows(logits) if across_ranks else logits
    return 2 - len(everyone) * (logits - everyone.logsumexp(0)).exp()


def _decoupled(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature,
    sigma: float | None,
    detach_weight: bool,
    symmetric: bool,
    normalize: bool,
    reduction: Reduction,
    ids: Tensor | None,
    across_ranks: bool,
) -> Tensor:
    check_reduction(reduction)
    n = same_rows(z1=z1, z2=z2)
    others = left_out(True, n, across_ranks, n, -n)
    z1, z2 = prepare(normalize, z1=z1, z2=z2)
    views = 2 if symmetric else 1
    scale = inverse_temperature(temperature, views * n, z1)
    positives = torch.linalg.vecdot(z1, z2)
    pull = positives
    if sigma is not None:
        weights = _weights(positives, sigma, across_ranks)
        pull = positives * (weights.detach() if detach_weight else weights)
    pull = scale * pull.repeat(views)
    valid = in_views(ids, n, across_ranks, (views, 2))
    both = torch.cat([z1, z2])
    if symmetric:
        return self_way(
            both,
            scale,
            Terms(excluded=(0, *others), valid=valid),
            pull=pull,
            reduction=reduction,
            across_ranks=across_ranks,
        )
    loss, _ = one_way(
        z1,
        both,
        scale,
        Terms(excluded=(0, n), valid=valid),
        pull=pull,
        reduction=reduction,
        across_ranks=across_ranks,
    )
    return loss


class DCL(Loss, function=dcl):
    """`counterpoint.objectives.functional.dcl` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        symmetric: bool = True,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            symmetric=symmetric,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, z1: Tensor, z2: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(z1, z2, ids=ids)


class DCLW(Loss, function=dclw):
    """`counterpoint.objectives.functional.dclw` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        sigma: float = 0.5,
        symmetric: bool = True,
        detach_weight: bool = True,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            sigma=sigma,
            symmetric=symmetric,
            detach_weight=detach_weight,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, z1: Tensor, z2: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(z1, z2, ids=ids)
