"""Samples held in memory, handed out one by one or gathered into a tensor at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class ImageStack(Sequence[Tensor]):
    """Images of one size in one tensor.

    Args:
        pixels: uint8 ``(N, C, H, W)``.
    """

    def __init__(self, pixels: Tensor) -> None:
        if pixels.dtype != torch.uint8 or pixels.ndim != 4:
            raise ValueError(
                f"Images must be uint8 (N, C, H, W); got {pixels.dtype} {tuple(pixels.shape)}."
            )
        self.pixels = pixels

    def __len__(self) -> int:
        return self.pixels.shape[0]

    def __getitem__(self, i: Any) -> Any:
        return ImageStack(self.pixels[i]) if isinstance(i, slice) else self.pixels[i]

    def gather(self, rows: Tensor) -> Tensor:
        """The images at ``rows``, uint8 ``(B, C, H, W)``."""
        return self.pixels[rows]


class Chosen(Sequence[Any]):
    """Some of another sequence's items, in a given order, still undecoded."""

    def __init__(self, items: Sequence[Any], rows: Tensor) -> None:
        self._items, self._rows = items, rows

    def __len__(self) -> int:
        return self._rows.shape[0]

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return Chosen(self._items, self._rows[i])
        return self._items[int(self._rows[i])]

    def gather(self, rows: Tensor) -> Any:
        """The items at ``rows`` of this choice, as `gather` returns them."""
        return gather(self._items, self._rows[rows])


def gather(items: Sequence[Any], rows: Tensor) -> Any:
    """The items at ``rows`` (int64 ``(B,)``): a stacked tensor for images, else a list."""
    direct = getattr(items, "gather", None)
    if direct is not None:
        return direct(rows)
    found = [items[i] for i in rows.tolist()]
    return torch.stack(found) if found and isinstance(found[0], Tensor) else found
