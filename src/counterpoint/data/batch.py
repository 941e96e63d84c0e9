"""What a method is given at each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

Inputs = Tensor | dict[str, Tensor]
"""What an encoder takes: stacked images ``(B, C, H, W)``, or a tokeniser's named tensors."""


def map_inputs(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """Applies ``change`` to every tensor of an encoder's inputs."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    return {key: change(value) for key, value in inputs.items()}


@dataclass(frozen=True)
class Batch:
    """Views of B samples.

    Attributes:
        views: one entry a view, each the encoder inputs of all B samples in the same order.
        index: position of each sample in the training split, int64 ``(B,)``.
        labels: class of each sample, int64 ``(B,)``, -1 where missing; None without labels.
        meta: one mapping a view, e.g. crop boxes ``(B, 4)``.
        extras: further per-sample values of the split ``(B, ...)``.
    """

    views: list[Inputs]
    index: Tensor
    labels: Tensor | None = None
    meta: list[Mapping[str, Tensor]] = field(default_factory=list)
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.index.shape[0]

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with ``change`` applied to every tensor."""
        return replace(
            self,
            views=[map_inputs(view, change) for view in self.views],
            index=change(self.index),
            labels=None if self.labels is None else change(self.labels),
            meta=[{key: change(value) for key, value in meta.items()} for meta in self.meta],
            extras={key: change(value) for key, value in self.extras.items()},
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def chunks(self, size: int) -> Iterator[Batch]:
        """Consecutive parts of about equal length, at most ``size`` samples (views, not copies).

        No part is a single sample, with which batch normalisation cannot do, unless ``size`` is 1:
        with ``size`` 2 one part of an odd batch has 3.
        """
        parts = -(-len(self) // size)
        if size > 1:
            parts = min(parts, max(1, len(self) // 2))
        short, longer = divmod(len(self), parts)
        start = 0
        for number in range(parts):
            part = slice(start, start + short + (number < longer))
            start = part.stop
            yield self.map(lambda tensor, part=part: tensor[part])  # type: ignore[misc]
