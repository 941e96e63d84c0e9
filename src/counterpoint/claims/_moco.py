"""MoCo on digits, for claims about what becomes of its queries, keys and queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.claims._claim import Part
from counterpoint.claims._steps import ENCODER, build, train
from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.methods.base import Codes

STEPS, BATCH, LR = 600, 64, 1e-3
QUEUE, TEMPERATURE, MOMENTUM = 1024, 0.2, 0.99

SETTINGS = {
    "steps": STEPS,
    "batch": BATCH,
    "optimiser": f"Adam, lr {LR:g}",
    "encoder": ENCODER,
    "queue": QUEUE,
    "temperature": TEMPERATURE,
    "momentum": MOMENTUM,
}

Note = Callable[[Any, Tensor, Tensor, Tensor], float]
"""Of the method, unit queries and keys ``(B, D)`` and the samples ``(B,)``, before their step."""


def trained(
    id: str, data: Dataset, note: Note, seed: int, **settings: Any
) -> tuple[Any, list[float]]:
    """A method that is a MoCo, after training by its own loss, and ``note`` of every step.

    The first step, whose queue is empty, is not noted.
    """
    method = build(id, seed, temperature=TEMPERATURE, queue=QUEUE, momentum=MOMENTUM, **settings)
    noted: list[float] = []

    def loss(codes: Codes, batch: Batch) -> Tensor:
        if len(method.queue):
            with torch.no_grad():
                q, k = (normalize(codes[name], dim=1) for name in ("q", "k"))
                noted.append(note(method, q, k, batch.index))
        value: Tensor = method.contrast(codes, batch)["loss"]
        return value

    train(method, data, loss, STEPS, BATCH, LR, seed)
    return method, noted


def no_loss_of_accuracy(method: str, baseline: str) -> Part:
    """The part that what is added to MoCo costs at most 2 points of accuracy."""
    return Part(
        id="accuracy",
        claim="Accuracy falls by at most 2 points.",
        method=method,
        baseline=baseline,
        metric="kNN accuracy on held-out digits (0 to 1)",
        margin=-0.02,
        refuted_below=-0.02,
    )
