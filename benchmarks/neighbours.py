"""How long the exact neighbour search takes, against a flat FAISS index.

    python benchmarks/neighbours.py [--rows 50000] [--width 384] [--neighbours 50] [--threads 1]
        [--rounds 3] [--json FILE]

Both find the most similar other rows of every row, alternately, in one process with as many
threads. Ours is what `counterpoint reannotate` calls, checks and normalisation included; FAISS is
given unit rows in float32, and its time covers building the index and the search. Prints the
smallest time of each, their ratio, and the share of neighbours that agree.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch

from counterpoint.probes.neighbours import neighbours


def mixture(rows: int, width: int, seed: int = 0) -> Any:
    """Unit rows in clusters, as embeddings are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((200, width), dtype=np.float32)
    z = centres[rng.integers(200, size=rows)]
    z += 1.5 * rng.standard_normal((rows, width), dtype=np.float32)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def flat(z: Any, k: int) -> Any:
    index = faiss.IndexFlatIP(z.shape[1])
    index.add(z)
    return index.search(z, k + 1)[1]


def ours(z: Any, k: int) -> Any:
    return neighbours(z, z, k, exclude_same_row=True)[1]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = function()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("rows", 50_000), ("width", 384), ("neighbours", 50), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    faiss.omp_set_num_threads(given.threads)
    z, k = mixture(given.rows, given.width), given.neighbours
    seconds: dict[str, list[float]] = {"counterpoint": [], "faiss flat": []}
    for _ in range(given.rounds):
        took, mine = timed(lambda: ours(z, k))
        seconds["counterpoint"].append(took)
        took, theirs = timed(lambda: flat(z, k))
        seconds["faiss flat"].append(took)
    best = {name: min(times) for name, times in seconds.items()}
    same = sum(len(np.intersect1d(a, b)) for a, b in zip(mine, theirs, strict=True))
    result = {
        "rows": given.rows,
        "width": given.width,
        "neighbours": k,
        "threads": given.threads,
        "rounds": given.rounds,
        "seconds": best,
        "ratio": best["counterpoint"] / best["faiss flat"],
        "agreement": same / (len(z) * k),
        "versions": {"torch": torch.__version__, "faiss": faiss.__version__},
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
