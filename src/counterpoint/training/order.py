"""Which samples each step sees: a function of seed and step, so a run can go on anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from counterpoint.errors import DataError


@dataclass(frozen=True)
class Order:
    """Steps through shuffled epochs.

    Attributes:
        samples: number of training samples N, at least 2.
        batch_size: samples a step over all ranks together; N if that is fewer.
        seed: of the shuffling.
        drop_last: leaves out the rest of an epoch that does not fill a batch. Otherwise it makes
            a smaller batch, cut to a multiple of the ranks, and is left out only where it holds
            a single sample for a rank, which has nothing to contrast with.
        ranks: number of processes.
    """

    samples: int
    batch_size: int
    seed: int
    drop_last: bool = True
    ranks: int = 1

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise DataError(f"Training needs at least 2 samples, got {self.samples}.")
        if self.size < 2 * self.ranks and self.ranks > 1:
            raise DataError(
                f"A batch of {self.size} is too small for {self.ranks} devices; "
                f"it needs at least {2 * self.ranks} samples."
            )

    @property
    def size(self) -> int:
        """Samples of a full batch, a multiple of the ranks."""
        size = min(self.samples, self.batch_size)
        return size - size % self.ranks

    @property
    def steps_per_epoch(self) -> int:
        full, rest = divmod(self.samples, self.size)
        return full + (not self.drop_last and rest // self.ranks >= 2)

    def epoch(self, step: int) -> int:
        """Epoch of a step, both from 0."""
        return step // self.steps_per_epoch

    def starts_epoch(self, step: int) -> bool:
        return step % self.steps_per_epoch == 0

    def rows(self, step: int, rank: int = 0) -> Tensor:
        """Samples of a step on one rank, int64; the ranks' parts in turn are the batch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.size
        batch = _shuffled(self.samples, self.seed, epoch)[start : start + self.size]
        share = len(batch) // self.ranks
        return batch[rank * share : (rank + 1) * share]


@lru_cache(maxsize=2)
def _shuffled(samples: int, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(samples, generator=generator)
