"""PixPro and PixContrast: agreement of the cells of two crops that show the same place."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import Temperature, check_finite, inverse_temperature
from counterpoint.engine.similarity import unit_rows
from counterpoint.errors import DataError
from counterpoint.objectives.masked import masked_log_sum
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Xie et al. 2021, Propagate Yourself (PixPro), CVPR 2021, arXiv 2011.10043"
ACROSS_RANKS = "an image has its own loss; ranks average it"
NO_PAIR = 1e-6
"""Added to the number of pairs by the authors, so that an image without any gives 0."""


@objective(inputs="feature maps", across_ranks=ACROSS_RANKS, ranks="rows", source=SOURCE)
def pixpro(queries: Tensor, keys: Tensor, pairs: Tensor) -> Tensor:
    """``-2 mean_n sum_ij A_ij cos(q_i, k_j) / (sum_ij A_ij + 1e-6)``, one direction.

    The loss of the paper's code is the sum of both directions, in [-4, 4]: ``pixpro(y1, k2, A) +
    pixpro(y2, k1, A.mT)``, twice that of the paper's equation. y are maps propagated by
    `counterpoint.encoders.pixel_propagation.PixelPropagation`, k plain maps of the momentum branch.

    Args:
        queries: float ``(N, C, H, W)``.
        keys: float ``(N, C, H, W)``; no gradient.
        pairs: A, bool ``(N, H W, H W)``, see `counterpoint.pairs.cells.matching_cells`.

    Returns:
        ``()``. An image without pairs contributes 0 and counts in the mean.

    Raises:
        DataError: maps or pairs that do not fit, NaN, infinity.

    Source: Xie et al. 2021, PixPro, arXiv 2011.10043, Eq. 4 times 2.
    """
    q, k = _cells(queries, keys, pairs)
    weights = pairs.to(q.dtype)
    agreement = (q * (weights @ k)).sum((1, 2)) / (weights.sum((1, 2)) + NO_PAIR)
    return -2 * agreement.mean()


@objective(inputs="feature maps", across_ranks=ACROSS_RANKS, ranks="rows", source=SOURCE)
def pixcontrast(
    queries: Tensor, keys: Tensor, pairs: Tensor, *, temperature: Temperature = 0.3
) -> Tensor:
    """``-log(sum_pos exp(cos / t) / sum_all exp(cos / t))`` of each cell, one direction.

    The positives of a cell are those that ``pairs`` matches with it, its negatives all other cells
    of the same image's other view. Mean over the cells with a positive, then over the images with
    a pair. The paper takes the mean of both directions: ``(pixcontrast(x1, k2, A) +
    pixcontrast(x2, k1, A.mT)) / 2``.

    Args:
        queries: float ``(N, C, H, W)``.
        keys: float ``(N, C, H, W)``, of the momentum branch; no gradient.
        pairs: A, bool ``(N, H W, H W)``.
        temperature: t above 0; one number, a learnable scalar, or one value an image.

    Returns:
        ``()``; 0 where no image has a pair.

    Raises:
        DataError: maps or pairs that do not fit, NaN, infinity.
        SettingError: temperature out of range.

    Source: Xie et al. 2021, PixPro, arXiv 2011.10043, Eq. 2.
    """
    q, k = _cells(queries, keys, pairs)
    logits = q @ k.mT * inverse_temperature(temperature, len(q), q).reshape(-1, 1, 1)
    pull, counted = masked_log_sum(logits, pairs)
    cells = (logits.logsumexp(2) - pull).where(counted, 0.0)
    images = cells.sum(1) / counted.sum(1).clamp(min=1)
    return images.sum() / counted.any(1).sum().clamp(min=1)


def _cells(queries: Tensor, keys: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Unit cells ``(N, H W, C)`` of both maps."""
    if queries.dim() != 4 or queries.shape != keys.shape:
        raise DataError(
            f"Both maps must have one shape (N, C, H, W), not {tuple(queries.shape)} and "
            f"{tuple(keys.shape)}."
        )
    cells = queries.shape[2] * queries.shape[3]
    if pairs.shape != (len(queries), cells, cells) or pairs.dtype != torch.bool:
        raise DataError(
            f"pairs must be bool {(len(queries), cells, cells)}, not {pairs.dtype} "
            f"{tuple(pairs.shape)}."
        )
    check_finite(queries=queries, keys=keys)
    dtype = torch.promote_types(queries.dtype, torch.float32)
    q, k = (unit_rows(x.to(dtype).flatten(2).mT) for x in (queries, keys.detach()))
    return q, k


class PixPro(Loss, function=pixpro):
    """`counterpoint.objectives.functional.pixpro` as a module."""

    def forward(self, queries: Tensor, keys: Tensor, pairs: Tensor) -> Tensor:
        return self.call(queries, keys, pairs)


class PixContrast(Loss, function=pixcontrast):
    """`counterpoint.objectives.functional.pixcontrast` as a module."""

    def __init__(self, *, temperature: float = 0.3) -> None:
        super().__init__(temperature=temperature)

    def forward(self, queries: Tensor, keys: Tensor, pairs: Tensor) -> Tensor:
        return self.call(queries, keys, pairs)
