"""The steps of a whole method with a loss of one's own, for claims that change one thing of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.methods.base import Codes, Method
from counterpoint.training.loader import make_views


def train(
    method: Method,
    data: Dataset,
    loss: Callable[[Codes, Batch], Tensor],
    steps: int,
    batch: int,
    lr: float,
    seed: int,
) -> None:
    """Trains by Adam at a constant rate; equal seeds see equal samples and views.

    Args:
        method: trained in place, left in evaluation mode.
        data: its training split is learnt from.
        loss: of codes and batch.
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
        loss(method.encode(made), made).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        method.after_step(step / steps)
    method.eval()
