"""What the training loop costs over a bare torch loop, and how it compares with lightly.

All runs of a case do the same steps on the same batches and take turns, so that a busy machine
slows each alike; the best of the rounds counts. Prints ratios.

    python benchmarks/training.py [--data glyphs] [--steps 100] [--rounds 5] [--threads 1]
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from peers import theirs

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.data import Dataset
from counterpoint.methods.base import Method
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import Batches
from counterpoint.training.module import make_optimizer
from counterpoint.training.order import Order

BATCH = 256


def simclr(data: Dataset) -> Method:
    torch.manual_seed(0)
    encoder = encoders.build(None, modality="images", channels=data.channels, size=data.size)
    return methods.build("simclr", encoder)


def order_of(data: Dataset) -> Order:
    return Order(len(data.train), BATCH, seed=0)


def ours(data: Dataset, steps: int) -> float:
    """Seconds of `counterpoint.training.train`, as its history gives them."""
    settings = TrainSettings.of(steps=steps, batch_size=BATCH, accelerator="cpu")
    with tempfile.TemporaryDirectory() as folder:
        return train(simclr(data), data, settings, Path(folder)).seconds


def bare(data: Dataset, steps: int) -> float:
    """Seconds of the same steps in a plain loop."""
    method = simclr(data).train()
    settings = TrainSettings.of(steps=steps).resolved("images")
    optimizer = make_optimizer(method, settings)
    batches = Batches(data.train, method.views(data), method.encoder, order_of(data))
    start = time.perf_counter()
    for step in range(steps):
        batch = batches[step]
        loss = method(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def lightly(data: Dataset, steps: int) -> float:
    """Seconds of lightly's SimCLR head and loss under Lightning's trainer, as in its examples."""
    settings = TrainSettings.of(steps=steps, batch_size=BATCH).resolved("images")
    return theirs("simclr", data, settings)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["digits", "glyphs"])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    runs: dict[str, Callable[[Dataset, int], float]] = {"bare": bare, "ours": ours}
    if find_spec("lightly") is None:
        print("lightly is not installed; left out")
    else:
        runs["lightly"] = lightly
    for name in options.data:
        data = sources.load(name)
        best = dict.fromkeys(runs, float("inf"))
        for run in runs.values():
            run(data, 3)
        for _ in range(options.rounds):
            for key, run in runs.items():
                best[key] = min(best[key], run(data, options.steps))
        speed = {key: options.steps * BATCH / seconds for key, seconds in best.items()}
        print(f"{name}: {speed['ours']:.0f} samples/s")
        print(f"  time of the loop / of a bare loop: {best['ours'] / best['bare']:.3f}")
        if "lightly" in speed:
            print(
                f"  samples/s / those of lightly's SimCLR: {speed['ours'] / speed['lightly']:.3f}"
            )


if __name__ == "__main__":
    main()
