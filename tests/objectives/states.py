"""Everything that objectives and pairs remember between steps, and a step of each."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint import objectives, pairs
from counterpoint.objectives import BimodalSogCLR, SogCLR
from counterpoint.objectives.registry import Loss
from counterpoint.pairs.dyce import DyCE
from counterpoint.pairs.queue import MemoryQueue
from counterpoint.pairs.sample_state import SampleState

SAMPLES, BATCH, WIDTH = 16, 8, 4

LOSSES: dict[str, Callable[..., nn.Module]] = {
    "SogCLR": lambda **more: SogCLR(SAMPLES, gamma=0.7, **more),
    "iSogCLR": lambda **more: SogCLR(SAMPLES, rho=0.3, **more),
    "BimodalSogCLR": lambda **more: BimodalSogCLR(SAMPLES, **more),
    "BimodalSogCLR with temperatures": lambda **more: BimodalSogCLR(SAMPLES, rho=0.3, **more),
    "BimodalSogCLR released": lambda **more: BimodalSogCLR(SAMPLES, variant="released", **more),
}
"""Losses with a state, called with two views and an index."""


def draw(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two views of a batch and the index of its samples."""
    generator = torch.Generator().manual_seed(step)
    z1, z2 = torch.randn(2, BATCH, WIDTH, generator=generator, dtype=torch.float64)
    return z1, z2, torch.randperm(SAMPLES, generator=generator)[:BATCH]


def loss_step(module: nn.Module, step: int, part: slice = slice(None)) -> list[Tensor]:
    """Loss and gradients of some rows of a batch."""
    z1, z2, index = (x[part] for x in draw(step))
    leaves = [z1.requires_grad_(), z2.requires_grad_()]
    loss = module(*leaves, index)
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


def _queue_step(queue: nn.Module, step: int) -> list[Tensor]:
    z1, _, index = draw(step)
    assert isinstance(queue, MemoryQueue)
    queue.enqueue(z1[:5], ids=index[:5], labels=index[:5] % 3)
    return [queue.features, queue.ids, queue.labels]


def _sample_step(state: nn.Module, step: int) -> list[Tensor]:
    z1, _, index = draw(step)
    assert isinstance(state, SampleState)
    state.write(index, estimate=state.read("estimate", index, z1) + z1[:, 0])
    return [state.read("estimate", index, z1)]


def _dyce_step(memory: nn.Module, step: int) -> list[Tensor]:
    assert isinstance(memory, DyCE)
    z1 = draw(step)[0].float()
    memory.update(z1)
    return [memory.enrich(z1, views=1)] if memory.ready else [memory.assign(z1)]


STATES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, int], list[Tensor]]]] = {
    **{name: (lambda make=make: make().double(), loss_step) for name, make in LOSSES.items()},
    "MemoryQueue": (lambda: MemoryQueue(7, WIDTH), _queue_step),
    "SampleState": (lambda: SampleState(SAMPLES, estimate=0.0), _sample_step),
    "DyCE": (lambda: DyCE(WIDTH, BATCH, clusters=2, scale=2, neighbours=1), _dyce_step),
}
"""How each is made, and what it answers at a step."""


def classes_with_state() -> Iterator[type[Any]]:
    """Modules of objectives and pairs that register buffers or hold such modules."""
    for package in (objectives, pairs):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for one in vars(module).values():
                own = inspect.isclass(one) and one.__module__ == module.__name__
                if own and issubclass(one, nn.Module) and one is not Loss:
                    text = inspect.getsource(one)
                    if "register_buffer" in text or "SampleState(" in text:
                        yield one
