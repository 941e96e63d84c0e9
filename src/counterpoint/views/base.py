"""What a view is, one sample at a time and a whole batch at once."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from counterpoint.views.randomness import fresh_seeds


@runtime_checkable
class BatchView(Protocol):
    """A view that is also made for a whole batch at once, each sample from its own seed.

    ``batch(items, seeds)`` takes what `counterpoint.data.Split.gather` gives (uint8 images
    ``(B, C, H, W)``, or a list of strings) with int64 seeds ``(B,)``, and returns the B views
    (float32 images in [0, 1] ``(B, C, H, W)``, or a list of strings). A sample's view depends on
    its item and its seed, not on its neighbours in the batch.
    """

    def __call__(self, item: Any) -> Any: ...

    def batch(self, items: Any, seeds: Tensor) -> Any: ...


class ImageView:
    """Base of image views: what `batch` does to many, a call does to one.

    A call draws its seed from torch's global generator.
    """

    def __call__(self, item: Tensor) -> Tensor:
        return self.batch(item[None], fresh_seeds(1))[0]

    def batch(self, items: Tensor, seeds: Tensor) -> Tensor:
        """Views of uint8 images ``(B, C, H, W)``: float32 in [0, 1]."""
        raise NotImplementedError
