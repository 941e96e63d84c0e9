"""What a re-rank of `counterpoint review` gains, and how quickly its page is answered.

    python benchmarks/review.py [--data digits docstrings tweets]
        [--kinds confusable annotator uniform]
        [--shares 0.1 0.2] [--decided 20 100 200] [--seeds 3] [--rows 100000]

Labels are made wrong, a reviewer who knows the truth decides on the worst suggestions, and the
average precision of the order of the suggestions that are left is taken before and after the
re-rank: means over the seeds. With ``--rows`` a corpus of so many made-up texts is brought in, all
but 2,100 of its rows are decided, and answers are timed: best of 5.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as arrow
from pyarrow import parquet
from sklearn.metrics import average_precision_score

from counterpoint.apps.representations import represent_images, represent_texts
from counterpoint.apps.review import queries
from counterpoint.apps.review.intake import open_review
from counterpoint.apps.review.queries import Filter
from counterpoint.apps.review.rerank import rerank
from counterpoint.curation.anchors import anchored
from counterpoint.curation.credibility import centred
from counterpoint.curation.judge import Judge, Judgement
from counterpoint.curation.noise import plant
from counterpoint.data.corpus import read_corpus
from counterpoint.data.findings import EMBEDDINGS, FOUND, SOURCE

LIMIT = 3000


def gain(z: Any, y: Any, truth: Any, found: Judgement, decided: int) -> tuple[float, ...]:
    """Average precision of the suggestions left, before and after; NaN where all are found."""
    order = np.lexsort((-found.confidence, found.credibility, ~found.flagged))
    anchors, rest = order[:decided], order[decided:]
    after = anchored(
        centred(z).astype(np.float16),
        y,
        found.suggested,
        found.credibility,
        found.confidence,
        anchors,
        truth[anchors],
        int(truth.max()) + 1,
    )
    left = rest[found.flagged[rest]]
    wrong = (y != truth)[left]
    if not wrong.any():
        return float("nan"), float("nan")
    scores = (1 - found.credibility[left], after.wrong[left])
    return tuple(float(average_precision_score(wrong, score)) for score in scores)


def gains(args: argparse.Namespace) -> None:
    """Prints a line a data set, kind and share of noise, and count of decisions."""
    for name in args.data:
        corpus = read_corpus(name, limit=LIMIT)
        embed = represent_images if corpus.kind == "images" else represent_texts
        z, truth = np.asarray(embed(list(corpus.items)), dtype=np.float64), corpus.labels
        for kind, share in product(args.kinds, args.shares):
            runs = []
            for seed in range(args.seeds):
                y = plant(truth, share, kind, embeddings=z, seed=seed)
                found = Judge(seed=seed).judge(z, y)
                runs.append([gain(z, y, truth, found, decided) for decided in args.decided])
            for decided, pairs in zip(args.decided, zip(*runs, strict=True), strict=True):
                before, after = (fmean(values) for values in zip(*pairs, strict=True))
                line = f"{name} {kind} {share:.0%}, {decided} decided"
                print(f"{line:42} {before:.3f} -> {after:.3f}", flush=True)


def write(folder: Path, rows: int) -> None:
    """Made-up findings of 50 classes."""
    rng = np.random.default_rng(0)
    labels, other = ([f"class {n}" for n in rng.integers(0, 50, rows)] for _ in range(2))
    found = {
        "row": list(range(rows)),
        "label": labels,
        "credibility": rng.random(rows),
        "flagged": [a != b for a, b in zip(labels, other, strict=True)],
        "suggested_label": other,
        "confidence": rng.random(rows),
        "neighbours": rng.integers(0, rows, (rows, 5)).tolist(),
        "reason": ["41 of 50 neighbours are “plant” and 1 are “food”"] * rows,
    }
    parquet.write_table(arrow.table(found), folder / FOUND)
    about = {"name": "made up", "kind": "text", "label": "label", "content": "text", "folder": None}
    table = arrow.table({"text": [f"text number {n} " * 20 for n in range(rows)], "label": labels})
    table = table.replace_schema_metadata({b"counterpoint": json.dumps(about).encode()})
    parquet.write_table(table, folder / SOURCE)
    np.save(folder / EMBEDDINGS, centred(rng.normal(size=(rows, 384))).astype(np.float16))


def answers(rows: int) -> None:
    """Times the queries behind the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, rows)
        store, brought = timed(lambda: open_review(folder))
        _, begun = timed(lambda: store.queue_of("ada"))
        with store.writing() as database:
            database.execute(
                "INSERT INTO decision (reviewer, row, action, before, suggested, after, made, "
                "current) SELECT 'ada', row, 'keep', '', '', a.name, '', 1 FROM item "
                "JOIN value a ON a.id = label WHERE queue = 0 AND rank < ?",
                (rows - 2100,),
            )
            database.execute(
                "UPDATE item SET action = 'keep' WHERE queue <> 0 AND rank < ?", (rows - 2100,)
            )
        print(f"bring in {brought:.1f} s, begin a reviewer's queue {begun:.1f} s")
        narrow = Filter("all", given="class 3", kind="neighbours", least=0.3)
        asked: dict[str, Callable[[], Any]] = {
            "page, open": lambda: queries.page(store, "ada", Filter()),
            "page, decided": lambda: queries.page(store, "ada", Filter(), status="decided"),
            "page, three filters": lambda: queries.page(store, "ada", narrow),
            "page, filter that fits none": lambda: queries.page(store, "ada", Filter(least=1.0)),
            "progress": lambda: queries.progress(store, "ada", Filter("all", least=0.3)),
            "row": lambda: queries.row(store, "ada", 7),
            "classes": lambda: queries.classes(store, "ada"),
        }
        for what, ask in asked.items():
            print(f"{what:28} {1000 * min(timed(ask)[1] for _ in range(5)):6.1f} ms")
        for row in queries.page(store, "bob", Filter(), limit=200):
            store.decide("bob", row["row"], "keep")
        print(f"re-rank on 200 decisions {timed(lambda: rerank(store, folder, 'bob'))[1]:.1f} s")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """A result and the seconds it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=("digits", "docstrings", "tweets"))
    parser.add_argument("--kinds", nargs="+", default=("confusable", "annotator", "uniform"))
    parser.add_argument("--shares", nargs="+", type=float, default=(0.1, 0.2))
    parser.add_argument("--decided", nargs="+", type=int, default=(20, 100, 200))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000)
    args = parser.parse_args()
    gains(args)
    if args.rows:
        answers(args.rows)


if __name__ == "__main__":
    main()
