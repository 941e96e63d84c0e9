"""HYDRA: any two classes are positives of each other, in the dimensions a gate leaves open."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_integers,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.ranks import peer_rows
from counterpoint.engine.softmax import row_way
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.masked import masked_log_sum
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Rethinking Positive Pairs in Contrastive Learning, arXiv 2410.18200"
NO_POSITIVE = 1e-6
"""Added to the number of positives by the authors, so that a row without any gives 0."""


@objective(
    inputs="pairs and gate",
    across_ranks="keys are those of all ranks; mean over all anchors",
    source=SOURCE,
)
def hydra(
    z: Tensor,
    keys: Tensor,
    gate: Tensor,
    labels: Tensor,
    partners: Tensor,
    temperature: Temperature = 0.1,
    *,
    repulsion: float | Tensor | None = None,
    renormalise: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """``1/|P| sum_{p in P} [log(exp(l_p) + sum_neg exp(l_n)) - l_p]`` of gated similarities.

    Anchor b of class y_b is drawn to the keys of its partner class, ``P = {n: y_n = partner_b}``.
    Negatives are the keys of neither class, so its own class is left alone. Its gate g applies to
    itself and to every key::

        l_bn = <g_b z_b, g_b k_n> / t              (authors' code)
        l_bn = cos(g_b z_b, g_b k_n) / t           (renormalise, the paper)
        l_bn -= repulsion <z_b, k_n> / t           (optional, in the full space)

    One direction; ``keys`` keep their gradient. 1e-6 is added to ``|P|``. With a gate of ones and
    partners equal to labels it is multi-positive InfoNCE without same-class negatives.

    Args:
        z: first view, float ``(N, D)``.
        keys: second view, float ``(N, D)``.
        gate: of each pair of classes, in [0, 1], float ``(N, D)``; see
            `counterpoint.encoders.pair_gate`.
        labels: int64 ``(N,)``, of anchors and keys.
        partners: int64 ``(N,)``, partner class of each anchor, see
            `counterpoint.pairs.partner_classes`.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        repulsion: alpha, a number or learnable; 0.5 at the start where the paper uses it.
        renormalise: cosine after gating instead of before; costs two products.
        normalize: divide every row of z and keys by its length, before gating.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction. An anchor without positives or negatives gives 0 and
        counts in the mean.

    Raises:
        DataError: embeddings, gate or labels that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Rethinking Positive Pairs in Contrastive Learning (HYDRA, later SimLAP), arXiv
    2410.18200.
    """
    check_reduction(reduction)
    n = same_rows(z=z, keys=keys, gate=gate)
    a, k = prepare(normalize, z=z, keys=keys)
    (g,) = prepare(False, gate=gate)
    if g.shape != a.shape:
        raise DataError(f"gate must have the shape of z, {tuple(a.shape)}, not {tuple(g.shape)}.")
    labels = check_integers("labels", labels, n)
    partners = check_integers("partners", partners, n)
    scale = inverse_temperature(temperature, n, a).expand(n)
    if across_ranks:
        labels, partners = peer_rows(labels), peer_rows(partners)
    open_ = g.to(a.dtype).square()

    if renormalise:
        anchors, candidates = _side_by_side(a, k, open_, repulsion is not None)
        length = torch.linalg.vector_norm(a * g, dim=1)
        per_row = [length, scale]
        if repulsion is not None:
            per_row.append(torch.as_tensor(repulsion, dtype=a.dtype, device=a.device).expand(n))
        scale = a.new_ones(())
    else:
        anchors, candidates = a * (open_ if repulsion is None else open_ - repulsion), k
        per_row = []

    def of_rows(products: Tensor, i: Tensor, j: Tensor, *more: Tensor) -> Tensor:
        logits = _cosine(products, *more) if renormalise else products
        positive = labels == partners[i]
        return multi_positive(logits, positive, positive | (labels == labels[i]))

    return row_way(
        of_rows,
        anchors,
        candidates,
        scale,
        per_row=per_row,
        reduction=reduction,
        across_ranks=across_ranks,
    )


def _side_by_side(a: Tensor, k: Tensor, open_: Tensor, full: bool) -> tuple[Tensor, Tensor]:
    """Rows whose products are, key by key: ``<a g^2, k>``, ``<g^2, k^2>`` and, if full, ``<a, k>``.

    A key becomes two or three consecutive candidates, each in coordinates of its own.
    """
    left, right = [a * open_, open_], [k, k * k]
    if full:
        left, right = [*left, a], [*right, k]
    zero = torch.zeros_like(k)
    rows = [
        torch.cat([x if place == other else zero for other in range(len(right))], 1)
        for place, x in enumerate(right)
    ]
    return torch.cat(left, 1), torch.stack(rows, 1).flatten(0, 1)


def multi_positive(logits: Tensor, positive: Tensor, excluded: Tensor) -> Tensor:
    """Loss of rows of logits: each positive against the negatives alone, averaged.

    Args:
        logits: float ``(B, M)``.
        positive: bool ``(B, M)``.
        excluded: bool ``(B, M)``, what is no negative; includes the positives.

    Returns:
        ``(B,)``; 0 without positives or without negatives.

    Source: arXiv 2410.18200, authors' code.
    """
    away, there = masked_log_sum(logits, ~excluded)
    terms = torch.nn.functional.softplus(away[:, None] - logits)
    terms = terms.where(positive & there[:, None], 0.0)
    return terms.sum(1) / (positive.sum(1).to(terms) + NO_POSITIVE)


def _cosine(
    products: Tensor, length: Tensor, scale: Tensor, repulsion: Tensor | None = None
) -> Tensor:
    """Logits from the products of `_side_by_side`; a pair without length has cosine 0."""
    parts = products.view(len(products), -1, 2 if repulsion is None else 3)
    squared = parts[..., 1]
    there = (squared > 0) & (length[:, None] > 0)
    lengths = length[:, None] * squared.where(there, 1.0).sqrt()
    cosine = (parts[..., 0] / lengths.where(there, 1.0)).where(there, 0.0)
    if repulsion is not None:
        cosine = cosine - repulsion[:, None] * parts[..., 2]
    logits: Tensor = scale[:, None] * cosine
    return logits


class Hydra(Loss, function=hydra):
    """`counterpoint.objectives.functional.hydra` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        repulsion: float | nn.Parameter | None = None,
        renormalise: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            repulsion=repulsion,
            renormalise=renormalise,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(
        self, z: Tensor, keys: Tensor, gate: Tensor, labels: Tensor, partners: Tensor
    ) -> Tensor:
        return self.call(z, keys, gate, labels, partners)
