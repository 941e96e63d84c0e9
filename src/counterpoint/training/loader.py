"""Makes the batch of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Split
from counterpoint.data.items import gather
from counterpoint.encoders.base import Encoder
from counterpoint.methods.base import View
from counterpoint.training.order import Order
from counterpoint.views.randomness import sample_seeds


class Batches(TorchDataset[Batch]):
    """Batch number ``step`` of one rank.

    A view of a sample depends on seed, epoch, sample and number of the view alone: views with
    ``batch(items, seeds)`` are given one seed a sample, others are called sample by sample with
    torch's generator seeded for each. A view with ``of_partner`` is shown the samples' partners,
    where the split has them.

    Args:
        split: the training samples.
        views: one callable a view.
        encoder: whose ``prepare`` collates.
        order: which samples a step sees.
        rank: of this process.
    """

    def __init__(
        self,
        split: Split,
        views: Sequence[View],
        encoder: Encoder,
        order: Order,
        rank: int = 0,
    ) -> None:
        self.split, self.views, self.encoder = split, views, encoder
        self.order, self.rank = order, rank

    def __getitem__(self, step: int) -> Batch:
        rows = self.order.rows(step, self.rank)
        epoch = self.order.epoch(step)
        return _batch(self.split, self.views, self.encoder, rows, self.order.seed, epoch)


def make_views(
    split: Split, views: Sequence[View], encoder: Encoder, rows: Tensor, seed: int = 0
) -> Batch:
    """Views of the samples at ``rows``, outside of training (for measures and figures).

    Args:
        split: where the samples are.
        views: one callable a view.
        encoder: whose ``prepare`` collates.
        rows: int64 ``(B,)``.
        seed: views depend on seed and sample alone.
    """
    return _batch(split, views, encoder, rows, seed, epoch=0)


def loader(batches: Batches, steps: range, workers: int) -> DataLoader[Batch]:
    """Batches of ``steps`` in order."""
    return DataLoader(
        batches,
        sampler=steps,
        batch_size=None,
        collate_fn=_same,
        num_workers=workers,
        persistent_workers=False,
    )


def _same(batch: Any) -> Any:
    return batch


def _batch(
    split: Split, views: Sequence[View], encoder: Encoder, rows: Tensor, seed: int, epoch: int
) -> Batch:
    raw = split.gather(rows)
    made: list[tuple[Inputs, dict[str, Tensor]]] = []
    for number, view in enumerate(views):
        shown = raw
        if getattr(view, "of_partner", False) and split.partners is not None:
            shown = gather(split.partners, rows)
        items, meta = _make(view, shown, sample_seeds(seed, epoch, rows, number))
        made.append((encoder.prepare(items), meta))
    return Batch(
        views=[inputs for inputs, _ in made],
        index=rows,
        labels=None if split.labels is None else split.labels[rows],
        meta=[meta for _, meta in made],
        extras={key: value[rows] for key, value in split.extras.items()},
    )


def _make(view: View, raw: Any, seeds: Tensor) -> tuple[Any, dict[str, Tensor]]:
    batched = getattr(view, "batch", None)
    made = batched(raw, seeds) if batched is not None else _one_by_one(view, raw, seeds)
    return made if isinstance(made, tuple) else (made, {})


def _one_by_one(view: View, raw: Any, seeds: Tensor) -> Any:
    made = []
    for item, seed in zip(raw, seeds.tolist(), strict=True):
        torch.default_generator.manual_seed(seed)
        made.append(view(item))
    if not isinstance(made[0], tuple):
        return made
    metas = [meta for _, meta in made]
    columns = {key: torch.stack([torch.as_tensor(m[key]) for m in metas]) for key in metas[0]}
    return [item for item, _ in made], columns
