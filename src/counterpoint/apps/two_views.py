"""Embeddings of two random views of held-out samples, for alignment and score histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from counterpoint import views
from counterpoint.data.dataset import Dataset
from counterpoint.data.items import gather
from counterpoint.views.randomness import sample_seeds

MOST_SAMPLES = 2_048


def two_views(embed: Callable[[Any], Any], data: Dataset, seed: int = 0) -> tuple[Any, Any]:
    """Embeds two views of the same test samples, equal for whatever embeds them.

    Args:
        embed: raw items or views to embeddings ``(V, D)``.
        data: its test split is viewed, at most 2,048 samples of it.
        seed: of the choice of samples and of the views.
    """
    shuffled = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(seed))
    rows = shuffled[:MOST_SAMPLES].sort().values
    raw = gather(data.test.items, rows)
    view: views.BatchView = views.augment(data) if data.modality == "images" else views.Delete()
    first, second = (view.batch(raw, sample_seeds(seed, 0, rows, k)) for k in (0, 1))
    return embed(first), embed(second)
