"""Which cells of two feature maps cover the same place of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError


def cell_centres(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres of the cells of crops, and the diagonal of a cell, in units of the image.

    Args:
        boxes: float ``(N, 4)``, left, top, right, bottom in [0, 1]; a flip swaps left and right
            (or top and bottom), and cells then have a negative width.
        height: cells of the map.
        width: cells of the map.

    Returns:
        ``(N, height * width, 2)`` as (x, y), row by row; ``(N,)``.

    Raises:
        DataError: boxes of another shape, or not finite.

    Source: Xie et al. 2021, PixPro, arXiv 2011.10043.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4 or not bool(torch.isfinite(boxes).all()):
        raise DataError(f"boxes must be finite (N, 4), not {tuple(boxes.shape)}.")
    start = boxes[:, :2]
    step = (boxes[:, 2:] - start) / boxes.new_tensor([width, height])
    rows = torch.arange(height, device=boxes.device).to(boxes) + 0.5
    columns = torch.arange(width, device=boxes.device).to(boxes) + 0.5
    grid = torch.stack([columns.repeat(height), rows.repeat_interleave(width)], 1)
    return start[:, None] + grid * step[:, None], torch.linalg.vector_norm(step, dim=1)


@torch.no_grad()
def matching_cells(
    boxes1: Tensor, boxes2: Tensor, size: tuple[int, int], threshold: float = 0.7
) -> Tensor:
    """``A[n, i, j]``: cells i of view 1 and j of view 2 lie closer than ``threshold`` diagonals.

    Distances are divided by the larger diagonal of a cell of both views. The reverse direction is
    the transpose.

    Args:
        boxes1: ``(N, 4)``, see `cell_centres`.
        boxes2: ``(N, 4)``.
        size: height and width of both maps.
        threshold: above 0.

    Returns:
        bool ``(N, H W, H W)``.

    Raises:
        DataError: boxes that do not fit.
        SettingError: threshold out of range.

    Source: Xie et al. 2021, PixPro, arXiv 2011.10043 (0.7).
    """
    if not threshold > 0:
        raise SettingError(f"threshold must be above 0, not {threshold}.")
    (first, one), (second, two) = (cell_centres(boxes, *size) for boxes in (boxes1, boxes2))
    distance = (first[:, :, None] - second[:, None]).square().sum(3).sqrt()
    return distance / torch.maximum(one, two)[:, None, None] < threshold
