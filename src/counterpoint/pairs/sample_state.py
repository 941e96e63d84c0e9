"""What is remembered of every training sample between the steps in which it occurs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import check_integers
from counterpoint.engine.ranks import gather_rows
from counterpoint.errors import DataError, SettingError


class SampleState(nn.Module):
    """One number a sample under each name, in buffers ``(samples,)``, addressed by sample index.

    With several ranks, written with ``across_ranks``, every rank holds the state of all samples.

    Args:
        samples: how many training samples there are.
        start: first value of every name.

    Raises:
        SettingError: no sample.
    """

    def __init__(self, samples: int, **start: float) -> None:
        super().__init__()
        if samples < 1:
            raise SettingError(f"There must be at least one sample, not {samples}.")
        self.samples = samples
        for name, value in start.items():
            self.register_buffer(name, torch.full((samples,), float(value)))

    def check(self, index: Tensor, rows: int, across_ranks: bool = False) -> Tensor:
        """The index as int64 ``(rows,)``.

        Raises:
            DataError: it does not fit, is out of range, or names a sample twice.
        """
        index = check_integers("index", index, rows)
        everyone = gather_rows(index) if across_ranks else index
        outside = ((index < 0) | (index >= self.samples)).nonzero().flatten()
        if len(outside):
            raise DataError(
                f"index names sample {int(index[outside[0]])} in row {int(outside[0])}; "
                f"there are {self.samples} samples, from 0."
            )
        if len(torch.unique(everyone)) < len(everyone):
            raise DataError(
                "index names a sample twice, and it can have one new state only; draw batches "
                "without replacement."
            )
        return index

    def read(self, name: str, index: Tensor, like: Tensor) -> Tensor:
        """Values ``(rows,)`` of some samples, in the dtype and on the device of ``like``."""
        buffer: Tensor = getattr(self, name)
        return buffer[index.to(buffer.device)].to(like)

    @torch.no_grad()
    def write(self, index: Tensor, across_ranks: bool = False, **values: Tensor) -> None:
        """Stores values ``(rows,)`` by name, those of all ranks if ``across_ranks``."""
        if across_ranks:
            index = gather_rows(index)
        for name, value in values.items():
            buffer: Tensor = getattr(self, name)
            new = gather_rows(value) if across_ranks else value.detach()
            buffer[index.to(buffer.device)] = new.to(buffer)
