"""MoCHi: MoCo whose queries meet harder negatives, mixed from their hardest keys."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.encoders.base import Encoder
from counterpoint.errors import SettingError
from counterpoint.methods.base import Fraction
from counterpoint.methods.image.moco import MoCo
from counterpoint.objectives import functional as F


class MoCHi(MoCo):
    """MoCo with synthetic negatives beside those of the queue, new for every query and step.

    Some lie between two of the query's ``hardest`` keys, others between the query and one of
    them. Only real keys enter the queue. Mixing waits until the queue has enough keys of other
    images than the query's.

    Args:
        hardest: keys that each query mixes from; 1 to 2 % of the queue.
        pairs: mixtures of two keys for each query.
        with_query: mixtures of the query and a key, each harder than its key.
        mix_from: share of training, in [0, 1], from which on negatives are mixed; 1 never. The
            paper warms up for 10 to 15 of 200 epochs.
        temperature: divides similarities.
        queue: number of keys kept; 65,536 in the paper, with (hardest, pairs, with_query) =
            (1024, 512, 256).
        momentum: of the moving copy; the paper's 0.999 is for hundreds of thousands of steps.
        outputs: length of the embedding.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head; the paper has none.

    Source: Kalantidis et al., Hard Negative Mixing for Contrastive Learning, NeurIPS 2020,
    arXiv 2010.01028, Section 3.
    """

    def __init__(
        self,
        encoder: Encoder,
        hardest: int = 32,
        pairs: int = 16,
        with_query: int = 16,
        mix_from: Fraction = 0.05,
        temperature: PositiveFloat = 0.2,
        queue: PositiveInt = 4096,
        momentum: Fraction = 0.99,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(
            encoder,
            temperature=temperature,
            queue=queue,
            momentum=momentum,
            outputs=outputs,
            hidden=hidden,
            batch_norm=batch_norm,
        )
        if not 1 <= hardest <= queue:
            raise SettingError(f"hardest must lie in 1..queue={queue}, got {hardest}.")
        if pairs < 0 or with_query < 0:
            raise SettingError(f"pairs and with_query count, got {pairs} and {with_query}.")
        if not 0 <= mix_from <= 1:
            raise SettingError(f"mix_from is a share in [0, 1], got {mix_from}.")
        self.hardest, self.pairs, self.with_query = hardest, pairs, with_query
        self.mix_from, self.mixing = mix_from, False

    def before_step(self, progress: float) -> None:
        super().before_step(progress)
        self.mixing = progress >= self.mix_from

    def _loss(self, queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
        if not self.mixing or self._keys_of_others() < self.hardest:
            return super()._loss(queries, keys, index)
        return F.mochi(
            queries,
            keys,
            self.queue.features,
            self.temperature,
            hardest=self.hardest,
            pairs=self.pairs,
            with_query=self.with_query,
            ids=index,
            negative_ids=self.queue.ids,
        )

    def _keys_of_others(self) -> int:
        """The least number of keys of other images that any image has in the queue."""
        if len(self.queue) == 0:
            return 0
        _, counts = torch.unique(self.queue.ids, return_counts=True)
        return len(self.queue) - int(counts.max())
