"""The nearest candidates of many anchors, in tiles, at the speed of the matrix product."""

from __future__ import annotations

import torch
from torch import Tensor

TILE_ROWS = 256
TILE_COLUMNS = 16384
COLUMN_STEP = 1024
GROUP = 16
"""Members of a group of scores whose maximum tells whether to look at them."""
ONE_DNN = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)


@torch.no_grad()
def most_similar(
    anchors: Tensor, candidates: Tensor, count: int, own: int | None = None
) -> tuple[Tensor, Tensor]:
    """The ``count`` largest ``<a_i, c_j>`` of every anchor, in tiles, falling along each row.

    Args:
        anchors: ``(N, D)``.
        candidates: same dtype ``(M, D)``.
        count: between 1 and the candidates that may be found.
        own: position of the first anchor among the candidates, where the anchors are some of them:
            no anchor finds itself. Positions outside the candidates find nothing to leave out.

    Returns:
        Products ``(N, count)``, and positions int64 ``(N, count)``.
    """
    starts = range(0, len(anchors), TILE_ROWS)
    found: list[tuple[Tensor, Tensor] | None] = [None for _ in starts]
    for first in range(0, len(candidates), TILE_COLUMNS):
        tile = candidates[first : first + TILE_COLUMNS]
        products = _Products(tile)
        for at, start in enumerate(starts):
            scores = products(anchors[start : start + TILE_ROWS])
            if own is not None:
                _fill_diagonal(scores, own + start - first)
            value, place = _largest(scores, count)
            found[at] = nearer(found[at], (value, place + first), count)
    values, places = zip(*(block for block in found if block is not None), strict=True)
    return torch.cat(values), torch.cat(places)


def nearer(
    found: tuple[Tensor, Tensor] | None, further: tuple[Tensor, Tensor], count: int
) -> tuple[Tensor, Tensor]:
    """The ``count`` best of two results of `most_similar` for the same anchors."""
    if found is None:
        return further
    value, place = (torch.cat(both, 1) for both in zip(found, further, strict=True))
    value, kept = value.topk(min(count, value.shape[1]), dim=1)
    return value, place.gather(1, kept)


class _Products:
    """``anchors @ candidates.T`` for at most 256 anchors, again and again.

    In float32 by oneDNN, which beats MKL on many processors. It compiles code for every shape, so
    there are few shapes: both sides are filled up with zeros, which are cut off afterwards.
    """

    def __init__(self, candidates: Tensor) -> None:
        self.candidates = candidates
        plain = candidates.dtype == torch.float32 and candidates.device.type == "cpu"
        self.filled: Tensor | None = None
        if ONE_DNN and plain and len(candidates) >= COLUMN_STEP:
            self.filled = _filled(candidates, -(-len(candidates) // COLUMN_STEP) * COLUMN_STEP)

    def __call__(self, anchors: Tensor) -> Tensor:
        if self.filled is None:
            return anchors @ self.candidates.T
        products: Tensor = torch.ops.mkldnn._linear_pointwise(
            _filled(anchors, TILE_ROWS), self.filled, None, "none", [], ""
        )
        return products[: len(anchors), : len(self.candidates)]


def _filled(rows: Tensor, count: int) -> Tensor:
    return (
        torch.nn.functional.pad(rows, (0, 0, 0, count - len(rows))) if len(rows) < count else rows
    )


def _fill_diagonal(scores: Tensor, first: int) -> None:
    """``scores[i, first + i] = -inf`` where there is such a column."""
    rows = torch.arange(len(scores), device=scores.device)
    rows = rows[(rows + first >= 0) & (rows + first < scores.shape[1])]
    scores[rows, rows + first] = -torch.inf


def _largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``scores.topk(count)``: the largest lie in the ``count`` groups of the largest maxima."""
    groups = scores.shape[1] // GROUP
    if groups <= 2 * count:
        return scores.topk(min(count, scores.shape[1]), dim=1)
    whole = groups * GROUP
    maxima = scores[:, :whole].view(len(scores), GROUP, groups).amax(1)
    members = torch.arange(GROUP, device=scores.device)[:, None] * groups
    places = maxima.topk(count, dim=1, sorted=False).indices[:, None] + members
    rest = torch.arange(whole, scores.shape[1], device=scores.device).expand(len(scores), -1)
    candidates = torch.cat([places.flatten(1), rest], 1)
    value, at = scores.gather(1, candidates).topk(count, dim=1)
    return value, candidates.gather(1, at)
