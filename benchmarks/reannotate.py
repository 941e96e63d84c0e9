"""How well wrong labels are found and corrected, against cleanlab and plain kNN.

    python benchmarks/reannotate.py [--data glosses docstrings digits tweets] [--kinds ...]
        [--shares 0.05 0.1 0.2 0.4] [--seeds 3] [--parts] [--budget MINUTES]
        [--json FILE]

For each data set, kind of noise, share and seed, labels are made wrong and every method judges the
same embeddings. Prints means over the seeds with the half width of their 95 % interval. With
``--parts`` the parts of the judge are switched instead of comparing with peers. With ``--budget``
the text encoder is fine-tuned as well, so many minutes for every row of the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.stats import t as student

from counterpoint.apps.fine_tuned import fine_tuned
from counterpoint.apps.label_proof import confident_learning, measure, plain_knn
from counterpoint.apps.representations import represent_images, represent_texts
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.duplicates import same_content
from counterpoint.curation.fine_tuning import FineTuning
from counterpoint.curation.judge import Judge
from counterpoint.curation.noise import plant
from counterpoint.data.corpus import read_corpus
from counterpoint.probes.inputs import features

DATA = ("glosses", "docstrings", "digits", "tweets")
KINDS = ("confusable", "uniform", "annotator", "instance")
SHARES = (0.05, 0.1, 0.2, 0.4)
ROWS = 12_000
SHOWN = ("auroc", "average_precision", "f1", "f1_at_true_count", "accuracy", "macro_f1")
PARTS = {
    "default (votes + network)": Judge(),
    "votes alone": Judge(network=False),
    "network alone": Judge(votes=False),
    "soft targets": Judge(soft=True),
    "distant peers": Judge(corrector=Corrector(beta=0.5)),
    "soft targets + distant peers": Judge(soft=True, corrector=Corrector(beta=0.5)),
}


def space(name: str) -> tuple[list[Any], Any, Any]:
    """Items, embeddings and true labels of a data set."""
    corpus = read_corpus(name, limit=ROWS)
    rows = np.flatnonzero(corpus.usable)
    items = [corpus.items[row] for row in rows]
    embed = represent_images if corpus.kind == "images" else represent_texts
    return items, features(embed(items), name), corpus.labels[rows]


def judged(judge: Judge, z: Any, y: Any, truth: Any, seed: int) -> dict[str, Any]:
    start = time.perf_counter()
    found = replace(judge, seed=seed).judge(z, y)
    seconds = time.perf_counter() - start
    scores = measure(found.margin, found.flagged, found.best, y, truth)
    return scores | {"seconds": seconds, "share": found.noise_share}


def tuned(items: list[Any], z: Any, y: Any, truth: Any, seed: int, minutes: float) -> Any:
    start = time.perf_counter()
    judge = Judge(seed=seed)
    found = judge.judge(z, y, same_content(items))
    found, about = fine_tuned(
        found,
        items,
        z,
        encoder=None,
        judge=judge,
        tuning=FineTuning(),
        minutes=minutes,
        seconds=60 * minutes - (time.perf_counter() - start),
    )
    seconds = time.perf_counter() - start
    scores = measure(found.margin, found.flagged, found.best, y, truth)
    return scores | {"seconds": seconds, "share": found.noise_share, "budget": about}


def rivals(z: Any, y: Any, truth: Any, seed: int) -> dict[str, dict[str, Any]]:
    start = time.perf_counter()
    learned = confident_learning(z, y, truth)
    seconds = time.perf_counter() - start
    return {
        "counterpoint": judged(Judge(), z, y, truth, seed),
        "kNN": plain_knn(z, y, truth),
        "cleanlab": learned | {"seconds": seconds},
    }


def interval(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{fmean(values):.3f}±{half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--budget", type=float)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in args.data:
        items, z, truth = space(name)
        print(f"\n{name}: {len(z)} rows, {len(np.unique(truth))} classes, width {z.shape[1]}")
        print(f"{'noise':>16} {'method':28} " + " ".join(f"{key[:15]:>15}" for key in SHOWN))
        for kind in args.kinds:
            for share in args.shares:
                scores: dict[str, list[dict[str, Any]]] = defaultdict(list)
                for seed in range(args.seeds):
                    y = plant(truth, share, kind, embeddings=z, seed=seed)
                    runs = (
                        {part: judged(judge, z, y, truth, seed) for part, judge in PARTS.items()}
                        if args.parts
                        else rivals(z, y, truth, seed)
                    )
                    if args.budget:
                        budgeted = f"counterpoint, {args.budget:g} minutes"
                        runs[budgeted] = tuned(items, z, y, truth, seed, args.budget)
                    for method, values in runs.items():
                        scores[method].append(values)
                        row = {"data": name, "kind": kind, "noise": share, "seed": seed}
                        found.append(row | {"method": method, **values})
                for method, runs in scores.items():
                    cells = [f"{interval([run[key] for run in runs]):>15}" for key in SHOWN]
                    label = f"{kind} {share:.0%}"
                    print(f"{label:>16} {method:28} " + " ".join(cells), flush=True)
                if args.json:
                    args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
