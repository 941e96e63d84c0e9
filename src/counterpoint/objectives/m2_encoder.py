"""Grouped aggregation of M2-Encoder: the loss of CLIP inside groups of the batch."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import Temperature, check_integers, check_reduction, same_rows
from counterpoint.engine.ranks import aggregation, world_size
from counterpoint.engine.softmax import reduce_rows
from counterpoint.engine.terms import Reduction
from counterpoint.errors import SettingError
from counterpoint.objectives.clip import clip
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="pairs",
    across_ranks="negatives are the rows of the ranks of one group; mean over all pairs",
    source="Guo et al. 2024, M2-Encoder, arXiv 2401.15896 (loss reconstructed)",
)
def grouped_clip(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 0.07,
    *,
    groups: int = 1,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``sum_g (N_g / N) clip(x_g, y_g)``: the negatives of a pair are the others of its group.

    Of N rows, groups are consecutive and as even as can be; of ranks, ``W / groups`` consecutive
    ones are a group (`counterpoint.engine.ranks.aggregation`, which does the same for every other
    objective). ``groups=1`` is `clip`. A row loses no more than in `clip`, by about ``log(groups)``
    less: compare losses at equal ``groups`` only. Shuffle all data over all ranks, or the negatives
    of a group are alike.

    M2-Encoder adds the losses of two levels, each with a learnable temperature of its own: one of
    the unimodal encoders, one after the layers they share.

    Args:
        x: one modality, float ``(N, D)``.
        y: the other, float ``(N, D)``; row i belongs to row i of x.
        temperature: positive; one number, a learnable scalar, or one value a pair ``(N,)``.
        groups: G; at most N, and across ranks a divisor of their number.
        decoupled: leave the positive out of the denominator.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over pairs.
        ids: int64 ``(N,)``; pairs of equal id are never each other's negatives.
        across_ranks: groups are of ranks; the loss is that of the batch of all ranks.

    Returns:
        ``()``, or ``(N,)`` without reduction. A group of one pair gives 0.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Guo et al. 2024, M2-Encoder: Advancing Bilingual Image-Text Understanding by
    Large-scale Efficient Pretraining, arXiv 2401.15896. The grouped loss was not released and is
    reconstructed.
    """
    check_reduction(reduction)
    n = same_rows(x=x, y=y)
    parts = world_size() if across_ranks else n
    if groups < 1 or groups > parts or (across_ranks and parts % groups):
        raise SettingError(
            f"groups must divide the number of ranks, {parts}, not {groups}."
            if across_ranks
            else f"groups must be in 1..{n}, the number of pairs, not {groups}."
        )
    if across_ranks or groups == 1:
        with aggregation(parts // groups) if across_ranks else nullcontext():
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
    temperatures = torch.as_tensor(temperature)
    ids = None if ids is None else check_integers("ids", ids, n)
    values = [
        clip(
            x[rows],
            y[rows],
            temperatures[rows] if temperatures.numel() == n else temperature,
            decoupled=decoupled,
            normalize=normalize,
            reduction="none",
            ids=None if ids is None else ids[rows],
        )
        for rows in _parts(n, groups)
    ]
    return reduce_rows(torch.cat(values), None, reduction)


def _parts(rows: int, groups: int) -> list[slice]:
    ends = [rows * group // groups for group in range(groups + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


class GroupedCLIP(Loss, function=grouped_clip):
    """`counterpoint.objectives.functional.grouped_clip` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        *,
        groups: int = 1,
        decoupled: bool = False,
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            groups=groups,
            decoupled=decoupled,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, x: Tensor, y: Tensor, *, ids: Tensor | None = None) -> Tensor:
        return self.call(x, y, ids=ids)
