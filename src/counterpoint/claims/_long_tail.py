"""Digits of which some are frequent and others rare, for claims about imbalanced data."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from counterpoint import data
from counterpoint.data.dataset import Dataset


def long_tailed(ratio: float, seed: int) -> Dataset:
    """Digits whose classes shrink geometrically, the rarest ``ratio`` times smaller than the first.

    Which class has which size is drawn. Held-out digits are balanced exactly, so that accuracy is
    balanced accuracy.
    """
    whole, generator = data.load("digits", seed=0), torch.Generator().manual_seed(seed)
    assert whole.train.labels is not None
    assert whole.test.labels is not None
    order = torch.randperm(len(whole.classes), generator=generator)
    shares = ratio ** (-order / (len(order) - 1))
    available = torch.bincount(whole.train.labels)
    sizes = (int(available.min()) * shares).round().long().clamp(min=1)
    even = torch.bincount(whole.test.labels).min().expand(len(sizes))
    return replace(
        whole,
        train=whole.train.take(_drawn(whole.train.labels, sizes, generator)),
        test=whole.test.take(_drawn(whole.test.labels, even, generator)),
    )


def _drawn(labels: Tensor, sizes: Tensor, generator: torch.Generator) -> Tensor:
    """So many samples of each class, in their old order."""
    chosen = []
    for label, size in enumerate(sizes.tolist()):
        members = (labels == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=generator)[:size]])
    return torch.cat(chosen).sort().values
