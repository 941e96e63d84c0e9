"""A small training run on 8x8 digits that takes seconds, for claims about objectives.

Two runs with equal settings and seed see the same initial weights, batches and views, so that
whatever they differ in is the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint import data
from counterpoint.threads import one_thread

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""Embeddings of two views ``(B, D)`` and the progress from 0 to 1, to a scalar."""


@dataclass(frozen=True)
class Digits:
    """Digits in [0, 1] ``(N, 1, 8, 8)`` with their classes ``(N,)``."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class Pilot:
    """Settings of a run.

    Attributes:
        batch: samples a step, drawn without replacement anew at each step.
        steps: optimiser steps.
        optimiser: plain SGD, or Adam.
        lr: learning rate, constant.
        momentum: of SGD.
        width: hidden units of the encoder, linear - ReLU - linear.
        batch_norm: whether layers are batch-normalised before their ReLU.
        head: whether a representation of 128 units (ReLU) and a projection head, linear - ReLU -
            linear, stand between the hidden units and the embedding.
        dimensions: of the embedding, which the objective sees.
        shift: views are shifted by up to so many pixels in each direction, filled with black.
        noise: standard deviation of the Gaussian noise added to views.
    """

    batch: int
    steps: int
    optimiser: Literal["sgd", "adam"]
    lr: float
    momentum: float = 0.9
    width: int = 256
    batch_norm: bool = True
    head: bool = False
    dimensions: int = 64
    shift: int = 1
    noise: float = 0.1


@cache
def digits() -> Digits:
    """The digits, one fifth of them held out."""
    loaded = data.load("digits", seed=0)
    parts = []
    for split in (loaded.train, loaded.test):
        pixels = torch.stack([split.items[i] for i in range(len(split))]).float() / 255
        assert split.labels is not None
        parts += [pixels, split.labels]
    return Digits(*parts)


def train(settings: Pilot, loss: Loss, seed: int) -> nn.Sequential:
    """Trains by ``loss`` on two random views of the training digits.

    Returns:
        The encoder and its head; the first alone gives the representation, both the embedding.
    """
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(*_encoder_and_head(settings))
        optimiser = _optimiser(settings, model)
        images = digits().train
        for step in range(settings.steps):
            batch = images[torch.randperm(len(images))[: settings.batch]]
            z1, z2 = model(view(batch, settings)), model(view(batch, settings))
            optimiser.zero_grad()
            loss(z1, z2, step / settings.steps).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return model.eval()


def _encoder_and_head(settings: Pilot) -> tuple[nn.Module, nn.Module]:
    def layer(inputs: int, outputs: int) -> list[nn.Module]:
        norm = [nn.BatchNorm1d(outputs)] if settings.batch_norm else []
        return [nn.Linear(inputs, outputs), *norm, nn.ReLU()]

    hidden = [nn.Flatten(), *layer(64, settings.width)]
    if not settings.head:
        return nn.Sequential(*hidden, nn.Linear(settings.width, settings.dimensions)), nn.Identity()
    head = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, settings.dimensions))
    return nn.Sequential(*hidden, *layer(settings.width, 128)), head


def view(images: Tensor, settings: Pilot) -> Tensor:
    """Each image shifted at random, with noise; randomness from torch's global generator."""
    most, side = settings.shift, images.shape[-1]
    padded = nn.functional.pad(images, (most, most, most, most))
    corner = torch.randint(0, 2 * most + 1, (2, len(images), 1))
    rows, columns = corner + torch.arange(side)
    sample = torch.arange(len(images))[:, None, None]
    shifted = padded[sample, 0, rows[:, :, None], columns[:, None, :]][:, None]
    return shifted + settings.noise * torch.randn_like(shifted)


@torch.no_grad()
def embed(model: nn.Module, images: Tensor) -> Tensor:
    """Embeddings ``(N, D)``, as the evaluation sees them."""
    with one_thread():
        embeddings: Tensor = model(images)
    return embeddings


def _optimiser(settings: Pilot, model: nn.Module) -> torch.optim.Optimizer:
    if settings.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), lr=settings.lr)
    return torch.optim.SGD(model.parameters(), lr=settings.lr, momentum=settings.momentum)
