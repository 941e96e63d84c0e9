"""A view of a sample's partner, such as its generated variant, not of the sample itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoint.views.base import BatchView
from counterpoint.views.randomness import fresh_seeds, uniform

SLOT = "slot"
"""The name of the slot among the metadata of a partner's view."""

_SLOT = 101


class PartnerView:
    """The view of the partner, with the slot ``{"slot": (B,)}`` it is to take among two.

    The loader hands it the items of `counterpoint.data.Split.partners`; where a split has none,
    the samples themselves. The slot, 0 or 1, is drawn for each sample and epoch anew.

    Args:
        view: what is made of the partner.
    """

    of_partner = True

    def __init__(self, view: BatchView) -> None:
        self.view = view

    def __call__(self, item: Any) -> tuple[Any, dict[str, Tensor]]:
        made, meta = self.batch(item[None], fresh_seeds(1))
        return made[0], {name: value[0] for name, value in meta.items()}

    def batch(self, items: Any, seeds: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """Views of partners, and their slots."""
        slot = (uniform(seeds, _SLOT, 1)[:, 0] < 0.5).to(torch.int64)
        return self.view.batch(items, seeds), {SLOT: slot}
