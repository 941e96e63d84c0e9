"""Time and memory of the objectives, forward and backward.

    python benchmarks/objectives.py [--rows N] [--threads 1 2] [--memory-rows N ...] [--json]

Times are ratios to the three matrix products of a dense forward and backward (``S = Z Zᵀ``,
``G Z``, ``Gᵀ Z``), timed right before each measurement in the same process, and the median over the
rounds. Memory is the peak of the process above what it held with its inputs, gradients included,
measured in a process of its own. Two-view objectives get ``rows`` rows in both views together.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from counterpoint.objectives import functional as F

Step = Callable[[], Tensor]
BARS = {
    "nt_xent": 0.65,
    "dcl": 0.65,
    "supcon": 0.75,
    "info_nce": 1.0,
    "clip": 1.4,
    "cwcl": 1.9,
    "contrast with a mask": 1.8,
}
MEMORY_BARS = {8192: 80.0, 65536: 200.0}


def steps(rows: int, width: int) -> dict[str, Step]:
    """A forward pass of every objective, by name."""
    torch.manual_seed(0)
    x = torch.randn(rows, width, requires_grad=True)
    y = torch.randn(rows, width, requires_grad=True)
    z1 = torch.randn(rows // 2, width, requires_grad=True)
    z2 = torch.randn(rows // 2, width, requires_grad=True)
    labels = torch.arange(rows) % max(1, rows // 8)
    features = torch.randn(rows, width)

    def same(i: Tensor, j: Tensor) -> Tensor:
        return labels[i] == labels[j]

    return {
        "nt_xent": lambda: F.nt_xent(z1, z2),
        "dcl": lambda: F.dcl(z1, z2),
        "supcon": lambda: F.supcon(x, labels),
        "info_nce": lambda: F.info_nce(x, y),
        "clip": lambda: F.clip(x, y),
        "cwcl": lambda: F.cwcl(x, y, features),
        "contrast with a mask": lambda: F.contrast(x, y, positive=same),
    }


def peers(rows: int, width: int) -> dict[str, Step]:
    """The same questions put to other libraries, where they are installed."""
    torch.manual_seed(0)
    x = torch.randn(rows, width, requires_grad=True)
    y = torch.randn(rows, width, requires_grad=True)
    z1 = torch.randn(rows // 2, width, requires_grad=True)
    z2 = torch.randn(rows // 2, width, requires_grad=True)
    labels = torch.arange(rows) % max(1, rows // 8)
    normalize = torch.nn.functional.normalize

    def dense() -> Tensor:
        logits = normalize(x) @ normalize(y).T / 0.1
        return torch.nn.functional.cross_entropy(logits, torch.arange(rows))

    found: dict[str, Step] = {"dense cross_entropy (info_nce)": dense}
    if importlib.util.find_spec("lightly"):
        from lightly.loss import DCLLoss, NTXentLoss

        nt_xent, dcl = NTXentLoss(temperature=0.1), DCLLoss(temperature=0.1)
        found["lightly NTXentLoss (nt_xent)"] = lambda: nt_xent(z1, z2)
        found["lightly DCLLoss (dcl)"] = lambda: dcl(z1, z2)
    if importlib.util.find_spec("pytorch_metric_learning"):
        from pytorch_metric_learning.losses import SupConLoss

        supcon = SupConLoss(temperature=0.1)
        found["pytorch-metric-learning SupConLoss (supcon)"] = lambda: supcon(x, labels)
    return found


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratios(named: dict[str, Step], rows: int, width: int, rounds: int) -> dict[str, float]:
    """Median over the rounds of time divided by that of the three products."""
    z = torch.nn.functional.normalize(torch.randn(rows, width))

    def products() -> None:
        similarities = z @ z.T
        similarities @ z
        similarities.T @ z

    found: dict[str, list[float]] = {name: [] for name in named}
    for step in named.values():
        step().backward()
    for _ in range(rounds):
        for name, step in named.items():
            base = seconds(products)
            found[name].append(seconds(lambda step=step: step().backward()) / base)
    return {name: statistics.median(values) for name, values in found.items()}


def resident() -> dict[str, float]:
    """Resident memory of this process now and at its peak, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def peak_megabytes(name: str, rows: int, width: int) -> float:
    """Peak of this process during forward and backward, above what it holds before."""
    steps(256, width)[name]().backward()
    step = steps(rows, width)[name]
    Path("/proc/self/clear_refs").write_text("5")
    before = resident()["VmRSS"]
    step().backward()
    return resident()["VmHWM"] - before


def memory(name: str, rows: int, width: int) -> float:
    """`peak_megabytes` in a process of its own."""
    command = [sys.executable, __file__, "--peak", name, "--rows", str(rows), "--width", str(width)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--memory-rows", type=int, nargs="*", default=[8192, 65536])
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", action="store_true", help="results on standard output as JSON")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.peak:
        torch.set_num_threads(1)
        print(peak_megabytes(args.peak, args.rows, args.width))
        return
    results: dict[str, object] = {
        "rows": args.rows,
        "width": args.width,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    speed: dict[int, dict[str, float]] = {}
    for threads in args.threads:
        torch.set_num_threads(threads)
        speed[threads] = ratios(steps(args.rows, args.width), args.rows, args.width, args.rounds)
        if not args.no_peers:
            speed[threads] |= ratios(peers(args.rows, args.width), args.rows, args.width, 3)
    peaks = {
        rows: {name: memory(name, rows, args.width) for name in BARS} for rows in args.memory_rows
    }
    if args.json:
        print(json.dumps({**results, "ratios": speed, "peak_mb": peaks}))
        return
    for threads, found in speed.items():
        print(f"\ntime / three products, N={args.rows}, D={args.width}, {threads} thread(s)")
        for name, ratio in found.items():
            print(f"  {name:45} {ratio:6.2f}{_bar(ratio, BARS.get(name))}")
    for rows, measured in peaks.items():
        print(f"\npeak memory above the inputs in MB, N={rows}, D={args.width}")
        for name, peak in measured.items():
            print(f"  {name:45} {peak:6.0f}{_bar(peak, MEMORY_BARS.get(rows))}")


def _bar(value: float, bar: float | None) -> str:
    return "" if bar is None else f"   bar {bar:g}{'' if value <= bar else '  ABOVE'}"


if __name__ == "__main__":
    main()
