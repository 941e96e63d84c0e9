"""The steps of a whole method with a loss of one's own, for claims that change one thing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from counterpoint import encoders, methods
from counterpoint.claims._pilot import embed
from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset, Split
from counterpoint.methods.base import Codes, Method
from counterpoint.training.loader import make_views

ENCODER = "64 - 256 ReLU - 128, no batch normalisation"
"""What `build` puts below a method."""


class Probe(Protocol):
    """A classifier of frozen embeddings."""

    def score(self, train_z: Any, train_y: Any, test_z: Any, test_y: Any) -> float:
        """Share of test rows classified rightly."""


def build(id: str, seed: int, **settings: Any) -> Any:
    """A method on a small network for digits; equal seeds give equal weights."""
    torch.manual_seed(seed)
    encoder = encoders.build("mlp", modality="images", channels=1, size=8, width=128)
    return methods.build(id, encoder, **settings)


def train(
    method: Method,
    data: Dataset,
    loss: Callable[[Codes, Batch], Tensor] | None,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
) -> None:
    """Trains by Adam at a constant rate; equal seeds see equal samples and views.

    Args:
        method: trained in place, left in evaluation mode.
        data: its training split is learnt from.
        loss: of codes and batch; None takes the method's own.
        steps: optimiser steps; all of them are one epoch.
        batch: samples a step, drawn without replacement anew at each step.
        lr: learning rate.
        seed: of samples and views.
    """
    generator = torch.Generator().manual_seed(seed)
    views = method.views(data)
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=lr)
    method.train()
    method.begin_epoch(0, data)
    for step in range(steps):
        rows = torch.randperm(len(data.train), generator=generator)[:batch]
        made = make_views(data.train, views, method.encoder, rows, seed * steps + step)
        method.before_step(step / steps)
        optimiser.zero_grad()
        codes = method.encode(made)
        value = method.contrast(codes, made)["loss"] if loss is None else loss(codes, made)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        method.after_step(step / steps)
    method.eval()


def held_out(method: Method, data: Dataset, seed: int) -> Batch:
    """Fresh views of all held-out samples, as the method makes them."""
    rows = torch.arange(len(data.test))
    return make_views(data.test, method.views(data), method.encoder, rows, seed)


def score(encoder: nn.Module, data: Dataset, probe: Probe) -> float:
    """Accuracy of a probe of the representation on held-out samples."""

    def embedded(split: Split) -> Tensor:
        return embed(encoder, split.gather(range(len(split))).float() / 255)

    train_y, test_y = data.train.labels, data.test.labels
    return probe.score(embedded(data.train), train_y, embedded(data.test), test_y)
