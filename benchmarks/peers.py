"""SimCLR, MoCo and DCL of counterpoint beside lightly's, at equal encoder, views, steps and seed.

Both start from the same weights and see the same batches; lightly's heads, losses and momentum
update run under Lightning's Trainer as in its examples. Runs take turns. Prints the kNN accuracy on
held-out data of each seed, their mean difference with its 95 % interval, and the ratio of speeds
(best of all rounds).

    python benchmarks/peers.py [--data glyphs] [--steps 200] [--seeds 3] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import DataLoader

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.data import Dataset
from counterpoint.data.batch import Batch
from counterpoint.encoders.base import Encoder
from counterpoint.methods.base import Method
from counterpoint.probes import KNN
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import Batches
from counterpoint.training.module import make_optimizer
from counterpoint.training.order import Order

BATCH, OUTPUTS = 256, 128
TEMPERATURE, MOMENTUM, QUEUE = 0.1, 0.99, 4096
SETTINGS: dict[str, dict[str, Any]] = {
    "simclr": {"temperature": TEMPERATURE},
    "moco": {"temperature": TEMPERATURE, "momentum": MOMENTUM, "queue": QUEUE},
    "dcl": {"temperature": TEMPERATURE},
}


class Peer(pl.LightningModule):
    """An encoder with lightly's head and loss, under the optimiser and schedule of counterpoint.

    Args:
        name: one of `SETTINGS`.
        encoder: what is trained, in place.
        settings: resolved; optimiser, learning rate and steps.
    """

    def __init__(self, name: str, encoder: Encoder, settings: TrainSettings) -> None:
        from lightly.loss import DCLLoss, NTXentLoss
        from lightly.models.modules import MoCoProjectionHead, SimCLRProjectionHead

        super().__init__()
        self.settings, self.moving, self.seconds = settings, None, 0.0
        width = encoder.width
        if name == "moco":
            self.network = nn.Sequential(encoder, MoCoProjectionHead(width, width, OUTPUTS))
            self.moving = copy.deepcopy(self.network).requires_grad_(False)
            self.criterion = NTXentLoss(TEMPERATURE, memory_bank_size=(QUEUE, OUTPUTS))
        else:
            self.network = nn.Sequential(encoder, SimCLRProjectionHead(width, width, OUTPUTS))
            self.criterion = {"simclr": NTXentLoss, "dcl": DCLLoss}[name](TEMPERATURE)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        from lightly.models.utils import update_momentum

        first, second = batch.views
        if self.moving is None:
            loss = self.criterion(self.network(first), self.network(second))
        else:
            update_momentum(self.network, self.moving, MOMENTUM)
            with torch.no_grad():
                keys = self.moving(second)
            loss = self.criterion(self.network(first), keys)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.network, self.settings)

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.settings.learning_rate(index, self.settings.steps)

    def on_train_start(self) -> None:
        self.start = time.perf_counter()

    def on_train_end(self) -> None:
        self.seconds = time.perf_counter() - self.start


def fresh(name: str, data: Dataset, seed: int) -> Method:
    """An untrained method; the encoder's weights depend on the seed alone."""
    torch.manual_seed(seed)
    encoder = encoders.build(None, modality="images", channels=data.channels, size=data.size)
    return methods.build(name, encoder, **SETTINGS[name])


def ours(name: str, data: Dataset, settings: TrainSettings) -> tuple[Encoder, float]:
    """The trained encoder, and the seconds of its steps."""
    method = fresh(name, data, settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        history = train(method, data, settings, Path(folder))
    return method.encoder, history.seconds


def theirs(name: str, data: Dataset, settings: TrainSettings) -> tuple[Encoder, float]:
    """The same of lightly, on the same batches."""
    method = fresh(name, data, settings.seed)
    order = Order(len(data.train), settings.batch_size, seed=settings.seed)
    batches = Batches(data.train, method.views(data), method.encoder, order)
    loader = DataLoader(
        batches, sampler=range(settings.steps), batch_size=None, collate_fn=lambda batch: batch
    )
    peer = Peer(name, method.encoder, settings)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(peer, loader)
    return method.encoder, peer.seconds


@torch.no_grad()
def accuracy(encoder: Encoder, data: Dataset) -> float:
    """kNN accuracy on the held-out split, in percent."""
    encoder.eval()
    rows = []
    for split in (data.train, data.test):
        images = split.gather(range(len(split))).float() / 255
        rows.append(torch.cat([encoder(encoder.prepare(part)) for part in images.split(512)]))
    return 100 * KNN().score(rows[0], data.train.labels, rows[1], data.test.labels)


def compare(name: str, data: Dataset, options: argparse.Namespace) -> dict[str, Any]:
    """Accuracies of each seed, their mean difference and interval, and the ratio of speeds."""
    found: dict[str, list[float]] = {"ours": [], "lightly": []}
    best = dict.fromkeys(found, float("inf"))
    runs = {"ours": ours, "lightly": theirs}
    for seed in range(options.seeds):
        settings = TrainSettings.of(
            steps=options.steps, batch_size=BATCH, accelerator="cpu", seed=seed
        ).resolved("images")
        for key, run in runs.items():
            encoder, seconds = run(name, data, settings)
            found[key].append(accuracy(encoder, data))
            best[key] = min(best[key], seconds)
    difference = np.subtract(found["ours"], found["lightly"])
    half = stats.t.ppf(0.975, options.seeds - 1) * stats.sem(difference)
    return {
        "accuracy": found,
        "difference": float(difference.mean()),
        "interval": [float(difference.mean() - half), float(difference.mean() + half)],
        "speed": best["lightly"] / best["ours"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="glyphs")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    data = sources.load(options.data)
    results = {name: compare(name, data, options) for name in SETTINGS}
    if options.json:
        print(json.dumps({"data": options.data, "steps": options.steps, **results}, indent=2))
        return
    print(f"{options.data}, {options.steps} steps, {options.seeds} seeds, kNN accuracy in percent")
    for name, found in results.items():
        mine, lightly = (np.mean(found["accuracy"][key]) for key in ("ours", "lightly"))
        low, high = found["interval"]
        print(
            f"{name:8s} {mine:5.1f}  lightly {lightly:5.1f}  difference "
            f"{found['difference']:+.1f} [{low:+.1f}, {high:+.1f}]  samples/s over lightly's "
            f"{found['speed']:.2f}"
        )


if __name__ == "__main__":
    main()
