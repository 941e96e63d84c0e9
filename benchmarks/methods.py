"""What a step of each image method costs over one of SimCLR, and how long its memory stays flat.

Every method trains the same encoder on the same batches with its own defaults, but for the settings
named in `SAME_VIEWS`, which give it as many views as SimCLR. Runs take turns, so that a busy
machine slows each alike; the best of the rounds counts. Generators are trained, and images made,
before the clock starts. Prints ratios.

    python benchmarks/methods.py [--methods ID ...] [--data glyphs] [--encoder NAME] [--steps 20]
        [--rounds 5] [--threads 1] [--memory-steps 1000] [--generator RUN] [--json]
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.apps.fit import trained_first
from counterpoint.data import Dataset
from counterpoint.training import TrainSettings, train

SAME_VIEWS = {"cacr": {"positives": 1}}
BARS = {
    "dcl": 1.1,
    "cacr": 1.1,
    "mochi": 1.1,
    "feature-transformation": 1.1,
    "isogclr": 1.1,
    "temperature": 1.1,
    "amcl": 1.5,
    "groco": 1.5,
}
MEGABYTE = 1024.0  # in kilobytes


def seconds(name: str, data: Dataset, options: argparse.Namespace, steps: int) -> float:
    """Seconds of some steps of training, as the history of the run gives them."""
    torch.manual_seed(0)
    encoder = encoders.build(
        options.encoder, modality="images", channels=data.channels, size=data.size
    )
    own = dict(SAME_VIEWS.get(name, {}))
    if "generator" in {argument.name for argument in methods.arguments(name)}:
        own["generator"] = options.generator
    method = methods.build(name, encoder, **own)
    settings = TrainSettings.of(steps=steps, batch_size=options.batch, accelerator="cpu")
    with tempfile.TemporaryDirectory() as folder:
        return train(method, data, settings, Path(folder)).seconds


def ratios(names: list[str], data: Dataset, options: argparse.Namespace) -> dict[str, float]:
    """Time of each method over that of SimCLR."""
    everyone = ["simclr", *(name for name in names if name != "simclr")]
    best = dict.fromkeys(everyone, float("inf"))
    for name in everyone:
        seconds(name, data, options, 2)
    for _ in range(options.rounds):
        for name in everyone:
            best[name] = min(best[name], seconds(name, data, options, options.steps))
    return {name: best[name] / best["simclr"] for name in names}


def growth(name: str, options: argparse.Namespace) -> float:
    """MB that the peak memory of a process grows by between a tenth and all of its steps."""
    few, many = (_peak(name, options, steps) for steps in _tenth_and_all(options.memory_steps))
    return many - few


def _tenth_and_all(steps: int) -> tuple[int, int]:
    return max(steps // 10, 1), steps


def _peak(name: str, options: argparse.Namespace, steps: int) -> float:
    command = [sys.executable, __file__, "--peak-of", name, "--steps", str(steps)]
    command += ["--data", options.data, "--batch", str(options.batch)]
    command += ["--generator", options.generator] if options.generator else []
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(found.stdout.split()[-1])


def _own_peak() -> float:
    """Largest resident memory of this process in MB; unlike ru_maxrss not that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / MEGABYTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=methods.names("images"))
    parser.add_argument("--data", default="glyphs")
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-steps", type=int, default=0)
    parser.add_argument("--generator", help="run of diffusion; trains one if a method needs it")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    data = sources.load(options.data)
    if options.peak_of:
        seconds(options.peak_of, data, options, options.steps)
        print(_own_peak())
        return
    with tempfile.TemporaryDirectory() as folder:
        if not options.generator:
            options.generator = trained_generator(options.methods, data, Path(folder))
        report(options, data)


def trained_generator(names: list[str], data: Dataset, folder: Path) -> str | None:
    """The run of a generator, if one of the methods needs it."""
    for name in names:
        found = trained_first(name, methods.check(name, {}), data, folder, seed=0)
        if found:
            return found["generator"]
    return None


def report(options: argparse.Namespace, data: Dataset) -> None:
    """Measures and prints."""
    found = ratios(options.methods, data, options)
    grown = {name: growth(name, options) for name in options.methods if options.memory_steps}
    if options.json:
        print(json.dumps({"time over simclr": found, "bars": BARS, "MB grown": grown}, indent=2))
        return
    for name, ratio in found.items():
        bar = f"  (at most {BARS[name]})" if name in BARS else ""
        more = f"  memory {grown[name]:+.1f} MB" if grown else ""
        print(f"{name:24s} {ratio:5.2f}{bar}{more}")


if __name__ == "__main__":
    main()
