"""Generated images: made once for equal inputs, kept piece by piece in the user's cache folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from counterpoint.data.finished import Finished
from counterpoint.data.items import Chosen, gather
from counterpoint.progress import OnProgress, Progress

_PIECE = 256


def generated_images(
    key: str,
    total: int,
    make: Callable[[range], Tensor],
    on_progress: OnProgress | None = None,
) -> Tensor:
    """``make(range(total))``; a killed job goes on after its last whole piece of 256 images.

    Args:
        key: everything that an image depends on, besides its number.
        total: how many images, at least 1.
        make: uint8 images of a range of numbers, ``(len(range), C, H, W)``.
        on_progress: told after each piece.
    """
    kept = Finished("generated", key)
    pieces = []
    for start in range(0, total, _PIECE):
        rows = range(start, min(start + _PIECE, total))
        name = f"{rows.start}-{rows.stop}"
        found = kept.part(name)
        if found is None:
            found = {"images": make(rows).numpy()}
            kept.keep_part(name, **found)
        pieces.append(torch.from_numpy(found["images"]))
        if on_progress is not None:
            on_progress(Progress("generate", rows.stop, total))
    return torch.cat(pieces)


class Joined(Sequence[Tensor]):
    """Images of two sequences one after the other, still undecoded."""

    def __init__(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return Chosen(self, torch.arange(len(self))[i])
        ahead = len(self._first)
        return self._first[i] if i < ahead else self._second[i - ahead]

    def gather(self, rows: Tensor) -> Tensor:
        """The images at ``rows``, uint8 ``(B, C, H, W)``."""
        ahead = len(self._first)
        made = self._second[0].new_empty((len(rows), *self._second[0].shape))
        for here, items, shift in (
            (rows < ahead, self._first, 0),
            (rows >= ahead, self._second, ahead),
        ):
            if here.any():
                made[here] = gather(items, rows[here] - shift)
        return made
