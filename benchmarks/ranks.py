"""Bytes sent and peak memory of the loss of a batch that several processes hold.

    python benchmarks/ranks.py [--rows 4096] [--width 128] [--worlds 2 4] [--out FILE]

Of `info_nce`, `clip` and `nt_xent`: the ring, groups of two ranks, and the usual way, an all-gather
with gradient and the dense logits of a rank's own rows (for `info_nce` and `clip`). Each process
holds ``rows / W`` rows. Bytes are counted at the calls of `torch.distributed` and are those that a
process sends in one forward and backward pass: a shard to every process it is sent to, and twice
``(W - 1) / W`` of the tensor for an all-reduce, as a ring of it does. Memory is the peak of the
process above what it held before the pass, the largest over processes. All on gloo, CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from counterpoint.engine.ranks import aggregation
from counterpoint.files import write_text
from counterpoint.objectives import functional as F

WAYS = ("ring", "groups of 2", "all-gather")
LOSSES = ("info_nce", "clip", "nt_xent")
TEMPERATURE = 0.1


class Counter:
    """Bytes this process sends, counted at the calls."""

    def __init__(self) -> None:
        self.sent = 0
        self._watch("batch_isend_irecv", self._pairs)
        self._watch("all_gather", self._gathered)
        self._watch("all_reduce", self._reduced)

    def _watch(self, name: str, count: Callable[..., int]) -> None:
        original = getattr(dist, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.sent += count(*args, **kwargs)
            return original(*args, **kwargs)

        setattr(dist, name, counted)

    def _pairs(self, operations: list[Any]) -> int:
        return sum(size(one.tensor) for one in operations if one.op is dist.isend)

    def _gathered(self, parts: list[Tensor], own: Tensor, group: Any = None) -> int:
        return (len(parts) - 1) * size(own)

    def _reduced(self, x: Tensor, group: Any = None) -> int:
        world = dist.get_world_size(group)
        return 2 * size(x) * (world - 1) // world


def size(x: Tensor) -> int:
    return x.numel() * x.element_size()


class Gather(torch.autograd.Function):
    """The rows of all processes, with gradient: an all-gather, and an all-reduce back."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad.chunk(dist.get_world_size())[dist.get_rank()]


def gathered(loss: str, x: Tensor, y: Tensor) -> Tensor:
    """The usual way: a process computes its own rows of the dense logits."""
    x, y = normalize(x), normalize(y)
    labels = dist.get_rank() * len(x) + torch.arange(len(x))
    along = cross_entropy(x @ Gather.apply(y).T / TEMPERATURE, labels)
    if loss == "info_nce":
        return along
    return (along + cross_entropy(y @ Gather.apply(x).T / TEMPERATURE, labels)) / 2


def one_pass(way: str, loss: str, x: Tensor, y: Tensor) -> float:
    if way == "all-gather":
        value = gathered(loss, x, y)
    else:
        with aggregation(2) if way == "groups of 2" else nullcontext():
            value = getattr(F, loss)(x, y, TEMPERATURE, across_ranks=True)
    value.backward()
    mean = value.detach().clone()
    if way == "all-gather":
        dist.all_reduce(mean)
        mean /= dist.get_world_size()
    return float(mean)


def resident(name: str) -> float:
    """MB this process holds (VmRSS), or has held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields[name].split()[0]) / 1024


def worker(rank: int, world: int, way: str, loss: str, rows: int, width: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/init", rank=rank, world_size=world
    )
    torch.manual_seed(rank)
    warm = [torch.randn(8, width, requires_grad=True) for _ in range(2)]
    one_pass(way, loss, *warm)
    x, y = (torch.randn(rows // world, width, requires_grad=True) for _ in range(2))
    dist.barrier()
    Path("/proc/self/clear_refs").write_text("5")
    held, counter = resident("VmRSS"), Counter()
    value = one_pass(way, loss, x, y)
    found = {"sent": counter.sent, "peak_mb": resident("VmHWM") - held, "loss": value}
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def measured(world: int, way: str, loss: str, rows: int, width: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = [str(world), way, loss, str(rows), str(width), folder]
        started = [
            subprocess.Popen(
                [sys.executable, __file__, "--worker", str(rank), *settings],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for rank in range(world)
        ]
        if any(process.wait() for process in started):
            raise SystemExit(f"A process of {way}, {loss}, {world} has failed.")
        parts = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(world)]
    return {
        "sent_mb": max(part["sent"] for part in parts) / 1e6,
        "peak_mb": max(part["peak_mb"] for part in parts),
        "loss": parts[0]["loss"],
    }


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        rank, world, way, loss, rows, width, folder = sys.argv[2:]
        worker(int(rank), int(world), way, loss, int(rows), int(width), folder)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--worlds", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args()
    found: dict[str, Any] = {
        "rows": settings.rows,
        "width": settings.width,
        "dtype": "float32",
        "torch": torch.__version__,
        "results": [],
    }
    print(f"{'loss':10} {'W':>2} {'way':12} {'sent MB':>9} {'peak MB':>9} {'loss':>8}")
    for loss in LOSSES:
        for world in settings.worlds:
            for way in WAYS[: 2 if loss == "nt_xent" else 3]:
                row = measured(world, way, loss, settings.rows, settings.width)
                found["results"].append({"loss": loss, "ranks": world, "way": way, **row})
                numbers = f"{row['sent_mb']:9.2f} {row['peak_mb']:9.1f} {row['loss']:8.4f}"
                print(f"{loss:10} {world:2} {way:12} {numbers}", flush=True)
    if settings.out:
        write_text(settings.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
