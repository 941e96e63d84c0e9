"""MoCo: keys of a momentum encoder, kept in a queue, are the negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import normalize

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.engine.ranks import gather_rows
from counterpoint.methods.base import Codes, Fraction, Method, View
from counterpoint.objectives import functional as F
from counterpoint.pairs.queue import MemoryQueue
from counterpoint.views import augment

Host = Literal["simclr", "moco"]
"""The system that another one is put on: its negatives are of the batch, or of a queue."""


class MoCo(Method):
    """``q = g(f(view_1))`` finds ``k = g'(f'(view_2))`` among ``k`` and the queue of old keys.

    Order of a step: the momentum encoder ``(f', g')`` is updated, queries and keys are encoded, the
    loss is taken against the queue, then the keys of all processes enter the queue. Keys of the
    other samples of the batch are no negatives. Every process holds the whole queue, so the mean
    over processes is the loss of the global batch. The queue grows from empty, so that every
    negative is a real key; while it is empty (the first step) the global batch's keys stand in.
    Where the queue outlives an epoch, old keys of the anchor's own image are left out.

    Args:
        temperature: divides similarities.
        queue: number of keys kept; 65,536 in the paper, for 1.3 million images.
        momentum: of the moving copy. The paper's 0.999 is for hundreds of thousands of steps; a
            run of some hundred steps needs the faster 0.99 that is the default here.
        outputs: length of the embedding.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head; the paper has none.

    Source: Chen et al., Improved Baselines with Momentum Contrastive Learning, arXiv 2003.04297;
    He et al., CVPR 2020, arXiv 1911.05722, Algorithm 1 (without its shuffled batch normalisation).
    """

    modalities = ("images",)

    def __init__(
        self,
        encoder: Encoder,
        temperature: PositiveFloat = 0.2,
        queue: PositiveInt = 4096,
        momentum: Fraction = 0.99,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(encoder)
        self.head = projection(encoder.width, outputs, hidden=hidden, batch_norm=batch_norm)
        self.moving = MomentumCopy(self._network(), momentum)
        self.queue = MemoryQueue(queue, outputs)
        self.temperature = temperature

    def _network(self) -> nn.Sequential:
        return nn.Sequential(self.encoder, self.head)

    def views(self, data: Dataset) -> Sequence[View]:
        return [augment(data), augment(data)]

    def before_step(self, progress: float) -> None:
        self.moving.update(self._network(), progress)

    def encode(self, batch: Batch) -> Codes:
        first, second = batch.views
        return {"q": self.head(self.encoder(first)), "k": self.moving(second)}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        keys = normalize(codes["k"].detach(), dim=1)
        loss = self._loss(codes["q"], keys, batch.index)
        if self.training:
            self.queue.enqueue(gather_rows(keys), ids=gather_rows(batch.index))
        return {"loss": loss}

    def _loss(self, queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
        return F.info_nce(
            queries,
            keys,
            temperature=self.temperature,
            in_batch=False,
            **negatives(self.queue, keys, index),
        )


def negatives(queue: MemoryQueue, keys: Tensor, index: Tensor) -> dict[str, Any]:
    """Arguments of an objective: the queue as its negatives, and whose these are.

    While the queue is empty the keys of this step stand in, those of all processes.

    Args:
        queue: old keys.
        keys: of this step ``(B, D)``.
        index: their samples, int64 ``(B,)``.
    """
    if len(queue):
        return {"negatives": queue.features, "negative_ids": queue.ids, "ids": index}
    return {"negatives": gather_rows(keys), "negative_ids": gather_rows(index), "ids": index}
