"""How much memory and time `counterpoint reannotate` takes where the corpus does not fit.

    python benchmarks/large.py [--rows 200000] [--width 384] [--classes 20] [--json FILE]

Embeddings are a mixture of 400 clusters, a class to every twentieth of them; a tenth of the labels
are changed. They are written as an ``.npz`` in single precision, which a second process judges,
with one thread. Prints its largest resident memory, its processor time, the share of true
neighbours that were found, and how many of the wrong labels.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

CLUSTERS = 400
WRONG = 0.1
BLOCK = 50_000


def mixture(rows: int, width: int, classes: int, file: Path) -> Any:
    """Writes embeddings and labels; returns which labels are wrong."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLUSTERS, width), dtype=np.float32)
    cluster = rng.integers(CLUSTERS, size=rows)
    z = np.empty((rows, width), dtype=np.float32)
    for start in range(0, rows, BLOCK):
        part = z[start : start + BLOCK]
        part[:] = centres[cluster[start : start + BLOCK]] + 0.5
        part += rng.standard_normal(part.shape, dtype=np.float32)
    truth = cluster % classes
    wrong = rng.random(rows) < WRONG
    labels = np.where(wrong, (truth + rng.integers(1, classes, size=rows)) % classes, truth)
    np.savez(file, embeddings=z, labels=labels)
    return wrong


def judge(file: Path, out: Path) -> None:
    """Judges the file, and prints what it took."""
    import torch

    from counterpoint.apps.sharded import reannotate_parts
    from counterpoint.data.parts import array_parts

    torch.set_num_threads(1)
    result = reannotate_parts(array_parts(file), out)
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {
        "peak_gib": used.ru_maxrss / 2**20,
        "processor_seconds": time.process_time(),
        "recall": result["recall"],
        "flagged": result["flagged"],
    }
    print(json.dumps(took))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("rows", 200_000), ("width", 384), ("classes", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--judge", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge:
        judge(*given.judge)
        return
    from pyarrow import parquet

    with tempfile.TemporaryDirectory() as place:
        file, out = Path(place) / "z.npz", Path(place) / "out"
        wrong = mixture(given.rows, given.width, given.classes, file)
        command = [sys.executable, __file__, "--judge", str(file), str(out)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = parquet.read_table(out / "credibility.parquet", columns=["flagged"])
    flagged = found["flagged"].to_numpy()
    result = {
        "rows": given.rows,
        "width": given.width,
        "classes": given.classes,
        **json.loads(said),
        "wrong": int(wrong.sum()),
        "found": int((wrong & flagged).sum()),
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
