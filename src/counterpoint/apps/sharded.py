"""Reannotates a corpus that does not fit into memory: parts in, parts out, vectors on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from counterpoint.apps.engines import Engine, Local
from counterpoint.apps.findings import described
from counterpoint.apps.label_proof import add_proof
from counterpoint.apps.parts_contents import read_contents
from counterpoint.apps.parts_findings import PartsFindings
from counterpoint.apps.policies import Policy, applied
from counterpoint.apps.reannotate import DEFAULT_ENCODERS
from counterpoint.apps.unfinished import FOLDER, Job, Searching, Vectors, embedded
from counterpoint.curation.credibility import Neighbours, centred
from counterpoint.curation.judge import Judge, Judgement
from counterpoint.curation.neighbour_search import (
    EXACT_ROWS,
    PROBED,
    RECALL,
    plan_search,
    search,
)
from counterpoint.curation.noise import Noise, plant
from counterpoint.data.parts import (
    Part,
    array_parts,
    array_rows,
    is_parts,
    parquet_parts,
)
from counterpoint.data.stored_rows import store_rows
from counterpoint.errors import SettingError, unknown_name
from counterpoint.files import check_writable
from counterpoint.probes.inputs import Ints
from counterpoint.progress import OnProgress


def parts_of(
    source: str | Path,
    *,
    engine: str = "local",
    text: str | None = None,
    image: str | None = None,
    embedding: str | None = None,
    label: str | None = None,
    split: str | None = None,
    truth: str | None = None,
) -> Sequence[Part] | None:
    """The parts of a source that is judged from disk; None for one that is judged in memory.

    A folder of Parquet files always is, an ``.npz`` beyond 100,000 rows, and both as well as a
    single Parquet file on a cluster.

    Raises:
        DataError: a part cannot be read, or lacks a column.
        SettingError: a source that has no parts, on a cluster.
    """
    path = Path(source).expanduser().absolute()
    cluster, ending = engine != "local", path.suffix.lower()
    if is_parts(path) or (cluster and ending == ".parquet"):
        return parquet_parts(
            path,
            text=text,
            image=image,
            embedding=embedding,
            label=label,
            split=split,
            truth=truth,
        )
    if ending == ".npz" and (cluster or array_rows(path) > EXACT_ROWS):
        return array_parts(path)
    if cluster:
        raise SettingError(
            f"engine {engine!r} takes a folder of Parquet files or an .npz; {source} is neither."
        )
    if embedding is not None:
        raise SettingError("embedding= is a column of a folder of Parquet files.")
    return None


def reannotate_parts(
    parts: Sequence[Part],
    out: str | Path,
    *,
    engine: Engine | None = None,
    encoder: str | None = None,
    judge: Judge | None = None,
    policy: Policy = "gated",
    noise: float = 0.0,
    kind: Noise = "confusable",
    force: bool = False,
    exact: int = EXACT_ROWS,
    recall: float = RECALL,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Judges a corpus part by part, and writes what was found the same way.

    As `counterpoint.apps.reannotate.reannotate_corpus`, but only numbers a row are in memory:
    vectors are on disk, in half precision beyond ``exact`` rows, where neighbours are looked for in
    the nearest clusters only (see `plan_search`) and the corrector learns from 100,000 rows. Of a
    folder of Parquet files, ``credibility`` and ``denoised`` are folders with a file a part; of an
    ``.npz`` they are files. ``row`` counts through all parts. The result does not depend on the
    engine. A run that was killed leaves what it had finished in the folder ``.unfinished``, where
    the next one finds it by content.

    Args:
        parts: as of `counterpoint.data.parts`.
        out: folder to write to.
        engine: where texts are embedded and neighbours searched; None for this process.
        encoder: what embeds texts or pictures; None for the default of the kind of data.
        judge: settings.
        policy: see `reannotate_corpus`.
        noise: share of labels to change first; the given ones become the truth.
        kind: kind of that noise; beyond ``exact`` rows only ``"uniform"``.
        force: change rows of test splits as well.
        exact: different contents that are still compared with each other; rows whose embeddings a
            proof still holds in memory, to compare with peers.
        recall: share of the true neighbours to find beyond.
        on_progress: told how far it is.

    Returns:
        Plain JSON values, as of `reannotate_corpus`; ``recall`` as measured.

    Raises:
        DataError: nothing can be judged, or embeddings of different lengths.
        SettingError: a setting out of range, or a folder that cannot be written.
    """
    if policy not in get_args(Policy):
        raise unknown_name("policy", policy, get_args(Policy))
    if kind not in get_args(Noise):
        raise unknown_name("kind of noise", kind, get_args(Noise))
    folder = Path(out)
    check_writable(folder)
    engine, judge = engine or Local(), judge or Judge()
    start = time.monotonic()
    corpus, written, contents = read_contents(parts, engine, on_progress)
    rows = contents.rows
    given, fits = corpus.labels[rows], len(rows) <= exact
    if noise and kind != "uniform" and not fits:
        raise SettingError(
            f"Noise of the kind {kind!r} depends on the embeddings of all {len(rows)} rows, which "
            "are not in memory; take kind 'uniform'."
        )
    disk = folder / FOLDER
    jobs = [
        Job(part, new, encoder, digest)
        for part, new, digest in zip(parts, contents.new, contents.digests, strict=True)
    ]
    raw = embedded(jobs, engine, disk, on_progress)
    whole = None
    if fits and (noise or corpus.truth is not None):
        whole = np.concatenate(list(raw.blocks()))[contents.group]
    ready = time.monotonic()
    if noise:
        labels = corpus.labels.copy()
        labels[rows] = plant(given, noise, kind, embeddings=whole, seed=judge.seed)
        corpus = replace(corpus, labels=labels, truth=corpus.labels)
    y = corpus.labels[rows]
    judgement, measured = _judged(
        raw, y, contents.group, judge, engine, disk, exact, recall, on_progress
    )
    judged = time.monotonic()
    free = ~corpus.held[rows] | force
    corrected, stays = applied(judgement, policy, free)
    result = described(corpus, judgement, rows, policy, corrected, stays)
    result["encoder"] = encoder or DEFAULT_ENCODERS[corpus.kind]
    result["seconds"] = {"embed": ready - start, "judge": judged - ready}
    result["recall"] = measured
    if measured < 1:
        result["notes"].append(
            f"Neighbours were looked for in the nearest clusters, which hold {measured:.1%} of the "
            f"true ones of {PROBED:,} random rows."
        )
    if noise:
        result["planted"] = {"share": noise, "kind": kind, "seed": judge.seed}
    if corpus.truth is not None:
        add_proof(result, judgement, corpus.truth[rows], whole, free, on_progress)
    result["settings"] = {**asdict(judge), "policy": policy, "exact": exact, "recall": recall}
    findings = PartsFindings(parts, corpus, given, judgement, rows, corrected, stays, written)
    result["files"] = findings.write(folder, {"encoder": result["encoder"], **result["settings"]})
    shutil.rmtree(disk)
    return result


def _judged(
    raw: Vectors,
    y: Ints,
    group: Ints,
    judge: Judge,
    engine: Engine,
    disk: Path,
    exact: int,
    recall: float,
    on_progress: OnProgress | None,
) -> tuple[Judgement, float]:
    """The judgement, and the share of the true neighbours that it looked at."""
    mean = raw.mean()
    kept = np.float32 if raw.shape[0] <= exact else np.float16
    blocks = (centred(block, mean) for block in raw.blocks())
    vectors = store_rows(disk / "centred.npy", blocks, raw.shape, kept)
    measured = 1.0

    def find(k: int) -> Neighbours:
        nonlocal measured
        plan = plan_search(
            vectors,
            k,
            disk,
            exact=exact,
            recall=recall,
            seed=judge.seed,
            on_progress=on_progress,
        )
        measured = plan.recall
        return search(plan, k, Searching(engine, disk, raw.key), on_progress)

    return judge.judge_stored(vectors, mean, find, y, group, on_progress), measured
