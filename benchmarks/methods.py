"""What a step of each image method costs over one of SimCLR, and by how much its memory grows.

Every method trains the same encoder on the same batches with its own defaults, but for the settings
named in `SAME_VIEWS`, which give it as many views as SimCLR. Runs take turns, so that a busy
machine slows each alike; the best of the rounds counts. Generators are trained, and images made,
before the clock starts. Prints ratios, and with ``--memory-steps`` growth, alone with
``--rounds 0``, which is quick with ``--data digits --batch 16``.

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
from counterpoint.progress import OnProgress, Progress
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


def seconds(
    name: str,
    data: Dataset,
    options: argparse.Namespace,
    steps: int,
    log_every: int = 10,
    on_progress: OnProgress | None = None,
) -> float:
    """Seconds of some steps of training, as the history of the run gives them."""
    torch.manual_seed(0)
    encoder = encoders.build(
        options.encoder, modality="images", channels=data.channels, size=data.size
    )
    own = dict(SAME_VIEWS.get(name, {}))
    if "generator" in {argument.name for argument in methods.arguments(name)}:
        own["generator"] = options.generator
    method = methods.build(name, encoder, **own)
    settings = TrainSettings.of(
        steps=steps, batch_size=options.batch, log_every=log_every, accelerator="cpu"
    )
    with tempfile.TemporaryDirectory() as folder:
        return train(method, data, settings, Path(folder), on_progress=on_progress).seconds


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


def growth(name: str, options: argparse.Namespace) -> dict[str, float]:
    """MB by which the peak memory of a run grows, in a process of its own.

    A leak grows to the end; what a method begins to hold later in training, such as a queue that
    fills, only before the second half.
    """
    command = [sys.executable, __file__, "--peaks-of", name, "--data", options.data]
    command += ["--steps", str(options.memory_steps), "--batch", str(options.batch)]
    command += ["--encoder", options.encoder] if options.encoder else []
    command += ["--generator", options.generator] if options.generator else []
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    tenth, half, end = json.loads(found.stdout.splitlines()[-1])
    return {"after a tenth": round(end - tenth, 1), "after half": round(end - half, 1)}


def peaks(name: str, data: Dataset, options: argparse.Namespace) -> list[float]:
    """Peak memory after a tenth, after half and after all steps of a run, in MB."""
    tenth = max(options.steps // 10, 1)
    seen = {}

    def look(event: Progress) -> None:
        if event.stage.startswith("train"):
            seen[event.done] = _own_peak()

    seconds(name, data, options, options.steps, log_every=tenth, on_progress=look)
    return [seen[tenth], seen[5 * tenth], seen[options.steps]]


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
    parser.add_argument("--peaks-of", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    data = sources.load(options.data)
    if options.peaks_of:
        print(json.dumps(peaks(options.peaks_of, data, options)))
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
    found = ratios(options.methods, data, options) if options.rounds else {}
    grown = {name: growth(name, options) for name in options.methods if options.memory_steps}
    if options.json:
        print(json.dumps({"time over simclr": found, "bars": BARS, "MB grown": grown}, indent=2))
        return
    for name in options.methods:
        words = [f"{name:24s}"]
        if found:
            words.append(f"{found[name]:5.2f}")
        if found and name in BARS:
            words.append(f"(at most {BARS[name]})")
        if grown:
            words += [f"{grew:+.1f} MB {since}" for since, grew in grown[name].items()]
        print("  ".join(words))


if __name__ == "__main__":
    main()
