"""Time and memory of the objectives, forward and backward.

    python benchmarks/objectives.py [--tables NAME ...] [--only OBJECTIVE ...] [--json]

Tables, each of ratios measured in one process, with one thread unless said otherwise:

- ``family``: the softmax family over the three matrix products of a dense forward and backward
  (``S = Z Zᵀ``, ``G Z``, ``Gᵀ Z``), by the clock, and its memory (``--rows``, ``--memory-rows``);
- ``dense``: every objective whose definition compares all rows over the same formula on whole
  matrices in plain torch (`dense`), and both memories (``--dense-rows``);
- ``large``: the memory of those objectives where one matrix needs 4 GB (``--large-rows``);
- ``peers``: losses of other libraries over ours, at the most rows that they can do;
- ``half``: float32 inputs over bfloat16 inputs.

Memory is the peak of a process above what it held with its inputs, gradients included. Two views
have ``rows`` rows together.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ["EXAMPLES_WIDTH"] = "128"
TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "objectives"), str(TESTS / "peers")]

import torch
from dense import dense
from examples import Example, examples
from measure import apart, peak, ratio
from peer_losses import PAIRS

from counterpoint.apps.bench import bench, family
from counterpoint.apps.bench import differentiate as differentiate_step
from counterpoint.objectives import find, registered

WIDTH = 128
BARS = {
    "nt_xent": 0.65,
    "dcl": 0.65,
    "supcon": 0.75,
    "info_nce": 1.0,
    "clip": 1.4,
    "cwcl": 1.9,
    "contrast": 1.8,
}
MEMORY_BARS = {8192: 80.0, 65536: 200.0}
DENSE_BAR, LARGE_BAR, PEER_BAR, HALF_BAR = 1.0, 300.0, 3.0, 1.5
TABLES = ("family", "dense", "large", "peers", "half")
HALF = ("nt_xent", "dcl", "supcon", "info_nce", "clip", "cwcl")
TAKES_THE_MATRIX = {
    "absolute_boost": "takes the N x N scores",
    "dbl": "takes the N x N scores",
    "discrimination": "takes the N x N similarities",
    "masked_supcon": "takes the N x N weights",
    "relative_boost": "takes the N x N scores",
    "triplet_ranking": "takes the N x N scores",
    "metrix": "has a mixture a triple of anchor, positive and negative",
    "metrix_multi_similarity": "has a mixture a triple of anchor, positive and negative",
    "metrix_proxy_anchor": "has a mixture a pair of samples of different classes",
}
"""Objectives that are given or make a matrix by their definition, and why."""


def over_products(rows: int, rounds: int) -> dict[str, float]:
    """Median over the rounds of time by the clock divided by that of the three products."""
    found = bench(rows=rows, width=WIDTH, rounds=rounds)["objectives"]
    return {name: cost["over_products"] for name, cost in found.items()}


def family_peak(name: str, rows: int) -> float:
    differentiate_step(family(256, WIDTH)[name])
    return peak(partial(differentiate_step, family(rows, WIDTH)[name]))


def example(name: str, rows: int) -> Example:
    """A call of an objective with that many rows."""
    objective = find(name)
    together = 2 if objective.inputs == "two views" else 1
    return examples(objective, rows // together)[0].to(torch.float32)


def differentiate(call: Example) -> None:
    torch.autograd.grad(call().sum(), call.embeddings, allow_unused=True)


def differentiate_densely(call: Example) -> None:
    with dense():
        differentiate(call)


def comparing() -> Iterator[str]:
    """Objectives whose definition compares all rows: those that ask the engine for N x N pairs."""
    for objective in registered():
        if objective.name in TAKES_THE_MATRIX:
            continue
        pairs = []
        for rows in (32, 64):
            with dense() as asked:
                example(objective.name, rows)()
            pairs.append(max(asked.values(), default=0))
        if pairs[1] > 3 * pairs[0]:
            yield objective.name


def dense_ratio(name: str, rows: int, rounds: int) -> float:
    call = example(name, rows)
    return ratio(lambda: differentiate(call), lambda: differentiate_densely(call), rounds)


def example_peak(name: str, rows: int, way: Callable[[Example], None]) -> float:
    way(example(name, 64))
    call = example(name, rows)
    return peak(lambda: way(call))


def peer_ratio(place: int, rows: int, rounds: int) -> float:
    """Time of a library's loss over that of ours, which must have the same value."""
    pair = PAIRS[place]
    leaves = pair.draw(rows, WIDTH)
    theirs, ours = pair.steps(rows, WIDTH, classes=max(2, rows // 8))
    torch.testing.assert_close(ours(*leaves), theirs(*leaves), rtol=1e-5, atol=1e-5)
    return ratio(lambda: theirs(*leaves).backward(), lambda: ours(*leaves).backward(), rounds)


def peer(place: int, rows: int, rounds: int) -> tuple[int, float | None]:
    """The most rows, halved from ``rows``, at which a library's loss fits, and the ratio there."""
    found = None
    while found is None and rows >= 512:
        found = apart(peer_ratio, place, rows, rounds)
        rows = rows if found is not None else rows // 2
    return rows, found


def half_ratio(name: str, rows: int, rounds: int) -> float:
    call = example(name, rows)
    half = call.to(torch.bfloat16)
    return ratio(lambda: differentiate(call), lambda: differentiate(half), rounds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--only", nargs="+", help="objectives of the tables dense, large and peers")
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2], help="of the family")
    parser.add_argument("--memory-rows", type=int, nargs="*", default=[8192, 65536])
    parser.add_argument("--dense-rows", type=int, default=4096)
    parser.add_argument("--large-rows", type=int, default=32768)
    parser.add_argument("--json", action="store_true", help="results on standard output as JSON")
    return parser.parse_args()


Table = dict[str, dict[str, float | None]]


def progress(*found: object) -> None:
    """A line on standard error, as the long tables take minutes to hours."""
    print(*found, file=sys.stderr, flush=True)


def measured(args: argparse.Namespace) -> Iterator[tuple[str, Table]]:
    """Title and ``{column: {row: value}}`` of each table."""
    names = args.only or list(comparing()) if {"dense", "large"} & {*args.tables} else []
    if "family" in args.tables:
        yield from _family(args)
    torch.set_num_threads(1)
    if "dense" in args.tables:
        rows = args.dense_rows
        columns: Table = {"time / dense": {}, "MB": {}, "dense MB": {}}
        for name in names:
            columns["time / dense"][name] = apart(dense_ratio, name, rows, args.rounds)
            columns["MB"][name] = apart(example_peak, name, rows, differentiate)
            columns["dense MB"][name] = apart(example_peak, name, rows, differentiate_densely)
            progress(name, *(column[name] for column in columns.values()))
        yield f"over the dense formula, N={rows}", columns
    if "large" in args.tables:
        peaks = {}
        for name in names:
            peaks[name] = apart(example_peak, name, args.large_rows, differentiate)
            progress(name, peaks[name])
        yield f"memory, N={args.large_rows}", {"MB": peaks}
    if "peers" in args.tables:
        found = {}
        for place, pair in enumerate(PAIRS):
            if pair.installed and pair.objective in (args.only or [pair.objective]):
                found[pair.name] = peer(place, args.rows, args.rounds)
                progress(pair.name, *found[pair.name])
        columns = {
            "N": {name: rows for name, (rows, _) in found.items()},
            "theirs / ours": {name: value for name, (_, value) in found.items()},
        }
        yield "time of other libraries over ours", columns
    if "half" in args.tables:
        speed = {name: apart(half_ratio, name, args.rows, args.rounds) for name in HALF}
        yield f"bfloat16 inputs, N={args.rows}", {"float32 / bfloat16": speed}


def _family(args: argparse.Namespace) -> Iterator[tuple[str, Table]]:
    torch.set_num_threads(1)
    yield (  # before this process itself holds memory that its forks would use again
        "memory of the softmax family in MB",
        {f"N={n}": {name: apart(family_peak, name, n) for name in BARS} for n in args.memory_rows},
    )
    speed: Table = {}
    for threads in args.threads:
        torch.set_num_threads(threads)
        speed[f"{threads} threads"] = over_products(args.rows, args.rounds)
    yield f"time over three products, N={args.rows}", speed


def bar(column: str, name: str) -> tuple[float, bool] | None:
    """The bar of a cell, and whether it bounds from below."""
    if column.endswith("threads"):
        return BARS[name], False
    if column.startswith("N=") and int(column[2:]) in MEMORY_BARS:
        return MEMORY_BARS[int(column[2:])], False
    bars = {
        "time / dense": (DENSE_BAR, False),
        "theirs / ours": (PEER_BAR, True),
        "float32 / bfloat16": (HALF_BAR, True),
    }
    return bars.get(column)


def show(title: str, columns: Table) -> None:
    print(f"\n{title}\n{'':46}" + "".join(f"{column:>20}" for column in columns))
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        cells = (_cell(column, name, values.get(name)) for column, values in columns.items())
        print(f"  {name:44}" + "".join(f"{cell:>20}" for cell in cells))


def _cell(column: str, name: str, value: float | None) -> str:
    if value is None:
        return "out of memory"
    limit = bar(column, name)
    missed = limit is not None and (value < limit[0] if limit[1] else value > limit[0])
    return f"{'misses ' if missed else ''}{value:.3g}" if value < 1000 else f"{value:.0f}"


def main() -> None:
    warnings.filterwarnings("ignore")
    args = arguments()
    results: dict[str, Any] = {
        "width": WIDTH,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    for title, columns in measured(args):
        results[title] = columns
        if not args.json:
            show(title, columns)
    if "dense" in args.tables or "large" in args.tables:
        results["left out"] = {"why": TAKES_THE_MATRIX}
    if args.json:
        print(json.dumps(results, indent=1))
    elif "left out" in results:
        show_reasons()


def show_reasons() -> None:
    print("\nleft out of the comparison with dense formulas")
    for name, why in TAKES_THE_MATRIX.items():
        print(f"  {name:44}{why}")
    print("  all that are not listed compare no two rows")


if __name__ == "__main__":
    main()
