"""Multiple negatives ranking of sentence pairs, as the mixture of experts is trained with it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.rows import row_blocks
from counterpoint.engine.terms import Reduction
from counterpoint.errors import SettingError
from counterpoint.objectives.clip import clip
from counterpoint.objectives.contrast import contrast
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.sparse import SparsePairs

Targets = Literal["identity", "self_similarity"]
SOURCE = (
    "Hallee et al. 2025, Contrastive Learning and Mixture of Experts Enables Precise Vector "
    "Embeddings, arXiv 2401.15713"
)


@objective(
    inputs="pairs",
    across_ranks="negatives are the candidates of all ranks; mean over all anchors",
    source=SOURCE,
)
def mnr(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 1.0,
    *,
    decoupled: bool = False,
    normalize: bool = False,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """`info_nce` of dot products at temperature 1: each x against all y, one way.

    With ``normalize`` take a temperature of 0.05: at 1 the loss cannot fall below
    ``log(1 + (n-1) exp(-n/(n-1)))``, 1.82 for 16 pairs.

    Args:
        x: embeddings ``(N, D)``.
        y: of their partners ``(N, D)``.
        temperature: positive; number, learnable scalar or one a row.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length.
        reduction: over anchors.
        ids: int64 ``(N,)``; rows of equal id (a text twice in the batch) are no negatives.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``, or ``(N,)`` without reduction. A single pair gives 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Hallee et al., Scientific Reports 2025, arXiv 2401.15713; Henderson et al. 2017.
    """
    return info_nce(
        x,
        y,
        temperature,
        decoupled=decoupled,
        normalize=normalize,
        reduction=reduction,
        ids=ids,
        across_ranks=across_ranks,
    )


@objective(
    inputs="pairs",
    across_ranks=(
        "targets='identity': negatives of all ranks, mean over all pairs; 'self_similarity' looks "
        "for its targets in the rank's own batch only and refuses across_ranks"
    ),
    source=SOURCE,
)
def mnr_plus(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 1.0,
    *,
    targets: Targets = "identity",
    decoupled: bool = False,
    normalize: bool = False,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """`mnr` both ways, halved. The targets are the partners, or found by self-similarity.

    ``"self_similarity"`` is the released code: with ``T = softmax_rows(t (XX' + YY') / 2)`` the
    target of row i is ``argmax_j T_ij`` and of column j ``argmax_i T_ij``. Without normalisation it
    may be another example of large norm, hence a wrong partner; with it rows are right and columns
    are wrong in tight clusters. ``"identity"`` is `clip` and the default here.

    Args:
        x: embeddings ``(N, D)``.
        y: of their partners ``(N, D)``.
        temperature: positive number or learnable scalar; the self-similarities are multiplied by
            it, which moves the column targets only.
        targets: see above.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length (then take a temperature of 0.05).
        reduction: over pairs.
        ids: int64 ``(N,)``; rows of equal id are no negatives; identity only.
        across_ranks: the loss of the batch of all ranks; identity only.

    Returns:
        ``()``, or ``(N,)`` without reduction. A single pair gives 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: unknown targets, or self-similarity with ids or across ranks.

    Source: Hallee et al., Scientific Reports 2025, arXiv 2401.15713, released ``mnr_plus_loss``.
    """
    check_choice(Targets, targets=targets)
    if targets == "identity":
        return clip(
            x,
            y,
            temperature,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            ids=ids,
            across_ranks=across_ranks,
        )
    if ids is not None or across_ranks or decoupled:
        raise SettingError(
            "targets='self_similarity' has no meaning with ids, decoupled or across_ranks: its "
            "targets are found anew in the batch, among duplicates and partners alike."
        )
    rows, columns = self_similarity_targets(x, y, temperature, normalize=normalize)
    every = torch.arange(len(x), device=x.device)
    along, down = (
        contrast(
            a,
            b,
            temperature,
            positive=SparsePairs(every, target, (len(x), len(y))),
            normalize=normalize,
            reduction=reduction,
        )
        for a, b, target in ((x, y, rows), (y, x, columns))
    )
    return (along + down) / 2


@torch.no_grad()
def self_similarity_targets(
    x: Tensor, y: Tensor, temperature: Temperature = 1.0, *, normalize: bool = False
) -> tuple[Tensor, Tensor]:
    """Row and column targets of `mnr_plus`, int64 ``(N,)`` each; arguments and errors as there.

    The first of equal ones. Large embeddings saturate many T to 1, which are then equal.
    """
    same_rows(x=x, y=y)
    both = torch.cat(prepare(normalize, x=x, y=y), 1)
    inverse = inverse_temperature(temperature, 1, both)
    scaled, n = both * (0.5 / inverse), len(both)
    rows, columns = (torch.zeros(n, dtype=torch.long, device=both.device) for _ in range(2))
    largest = both.new_full((n,), -torch.inf)
    for part in row_blocks(n, n):
        shares = (scaled[part] @ both.T).softmax(1)
        rows[part], place = shares.argmax(1), shares.argmax(0)
        share = shares.gather(0, place[None])[0]
        columns = torch.where(share > largest, place + part.start, columns)
        largest = torch.maximum(largest, share)
    return rows, columns


class MNR(Loss, function=mnr):
    """`counterpoint.objectives.functional.mnr` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        decoupled: bool = False,
        normalize: bool = False,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, x: Tensor, y: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(x, y, ids=ids)


class MNRPlus(Loss, function=mnr_plus):
    """`counterpoint.objectives.functional.mnr_plus` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        targets: Targets = "identity",
        decoupled: bool = False,
        normalize: bool = False,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            targets=targets,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, x: Tensor, y: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(x, y, ids=ids)
