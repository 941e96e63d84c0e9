"""Reannotates a corpus that does not fit into memory: parts in, parts out, vectors on disk."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from counterpoint.apps.engines import Engine, Local
from counterpoint.apps.findings import described, worst_first
from counterpoint.apps.label_proof import add_proof
from counterpoint.apps.policies import Policy, applied
from counterpoint.apps.reannotate import COLUMNS, DEFAULT_ENCODERS, SHOWN_NEIGHBOURS
from counterpoint.apps.reasons import reasons
from counterpoint.apps.unfinished import FOLDER, Job, Searching, Vectors, embedded
from counterpoint.curation.credibility import Neighbours, centred
from counterpoint.curation.duplicates import plain_text
from counterpoint.curation.judge import Judge, Judgement
from counterpoint.curation.neighbour_search import (
    EXACT_ROWS,
    PROBED,
    RECALL,
    plan_search,
    search,
)
from counterpoint.curation.noise import Noise, plant
from counterpoint.data.classes import class_name, number_classes
from counterpoint.data.corpus import Corpus
from counterpoint.data.dataset import Problem
from counterpoint.data.parts import (
    ArrayPart,
    Part,
    array_parts,
    array_rows,
    is_parts,
    parquet_parts,
)
from counterpoint.data.stored_rows import store_rows
from counterpoint.data.vectors import content_keys
from counterpoint.errors import DataError, SettingError, require, unknown_name
from counterpoint.files import check_writable, write_whole
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.progress import OnProgress, Progress

Flags = NDArray[np.bool_]
NOT_JUDGED = "not judged: content or label is missing"


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
    corpus, written, contents = _read(parts, engine, on_progress)
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
    findings = _Findings(parts, corpus, given, judgement, rows, corrected, stays, written)
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


@dataclass(frozen=True)
class _Looked:
    """What a part says before anything is embedded.

    Attributes:
        content: digest of all that it holds.
        keys: digest of what each row holds, equal for texts that differ in case or white space
            only; empty where there is nothing.
        labels, truth: labels of its rows.
        held: bool, rows of a test split.
    """

    content: str
    keys: NDArray[np.bytes_]
    labels: _Named
    truth: _Named | None
    held: Flags


@dataclass(frozen=True)
class _Named:
    """Labels of a part: how its owner writes each class, and which each row has, or -1."""

    values: list[Any]
    codes: Ints


@dataclass(frozen=True)
class _Contents:
    """Contents of the corpus.

    Attributes:
        rows: that are usable.
        group: content of each of them.
        new: of each part, the rows that bring a new content.
        digests: of all that each part holds.
    """

    rows: Ints
    group: Ints
    new: list[Ints]
    digests: list[str]


def look(part: Part) -> _Looked:
    """Reads a part once, without embedding it."""
    items = part.items()
    keys = own = content_keys(items)
    if part.kind == "text":
        keys = content_keys([item and plain_text(item) for item in items])
    truth = part.truth()
    return _Looked(
        hashlib.sha256(own.tobytes()).hexdigest(),
        keys,
        _named(part.labels()),
        None if truth is None else _named(truth),
        part.held(),
    )


def _named(given: list[Any]) -> _Named:
    seen: dict[str, int] = {}
    values: list[Any] = []
    codes = np.empty(len(given), dtype=np.int64)
    for row, value in enumerate(given):
        name = class_name(value)
        codes[row] = seen.setdefault(name, len(seen)) if name else -1
        if name and len(seen) > len(values):
            values.append(value)
    return _Named(values, codes)


def _read(
    parts: Sequence[Part], engine: Engine, on_progress: OnProgress | None
) -> tuple[Corpus, dict[int, Any], _Contents]:
    """The corpus without its items, how its owner writes each class, and its contents."""
    looked: list[_Looked] = []
    for found in engine.map(look, parts):
        looked.append(found)
        if on_progress is not None:
            on_progress(Progress("read the parts", len(looked), len(parts)))
    own = [found.labels for found in looked]
    true = [found.truth for found in looked if found.truth is not None]
    written: dict[str, Any] = {}
    for value in (value for named in own + true for value in named.values):
        written.setdefault(class_name(value), value)
    classes, _ = number_classes(list(written))
    number = {name: at for at, name in enumerate(classes)}
    every, keys, rows, problems = [], [], [], []
    for part, found in zip(parts, looked, strict=True):
        usable = (found.keys != b"") & (found.labels.codes >= 0)
        every.append(usable)
        keys.append(found.keys[usable])
        rows.append(np.flatnonzero(usable))
        if not usable.all():
            lacking = "a picture that can be read" if part.kind == "images" else "content"
            said = f"{int((~usable).sum())} rows lack {lacking} or label"
            problems.append(Problem(part.name, said))
    held = np.concatenate([found.held for found in looked])
    digests = [found.content for found in looked]
    del looked
    y = _numbers(own, number)
    truth = _numbers(true, number) if true else None
    del own, true
    if not any(map(len, rows)):
        raise DataError("No row has both content and a label; there is nothing to judge.")
    count = sum(map(len, rows))
    used = len(np.unique(y[y >= 0]))
    if not 2 <= used <= count / 2:
        raise DataError(
            f"The labels hold {used} different values in {count} rows; at least two, "
            "and at most half as many as rows, can be judged. Choose another column."
        )
    corpus = Corpus(
        name=parts[0].source.name,
        kind=parts[0].kind,
        table=None,
        label=parts[0].label,
        content=parts[0].content or "",
        items=_ByRow(parts, lambda part: part.items()),
        names=_Names(len(y)),
        labels=y,
        classes=classes,
        truth=truth,
        held=held,
        problems=tuple(problems),
    )
    usable_rows = np.flatnonzero(np.concatenate(every))
    contents = _Contents(usable_rows, *_numbered(keys, rows), digests)
    return corpus, {number[name]: value for name, value in written.items()}, contents


def _numbers(parts: Sequence[_Named], number: dict[str, int]) -> Ints:
    """Class of every row of the corpus, -1 where it is missing."""
    every = []
    for named in parts:
        own = np.array([*(number[class_name(v)] for v in named.values), -1], dtype=np.int64)
        every.append(own[named.codes])
    return np.concatenate(every)


def _numbered(keys: list[NDArray[np.bytes_]], rows: list[Ints]) -> tuple[Ints, list[Ints]]:
    """Contents by number, in order of first sight, and the rows of each part with new ones."""
    first, group = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)[1:]
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(len(first))
    ends = np.cumsum([len(own) for own in rows])
    is_new = np.zeros(len(group), dtype=bool)
    is_new[first] = True
    new = [own[is_new[end - len(own) : end]] for own, end in zip(rows, ends, strict=True)]
    return place[group.reshape(-1)], new


class _ByRow(Sequence[Any]):
    """What parts hold by row, read when asked for; embeddings have nothing to show."""

    def __init__(self, parts: Sequence[Part], read: Callable[[Part], Any]) -> None:
        self.ends = np.cumsum([len(part) for part in parts])
        self.shown = parts[0].kind != "embeddings"
        self.read = lru_cache(maxsize=4)(lambda at: read(parts[at]))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, row: Any) -> Any:
        if not self.shown:
            return ()
        at = int(np.searchsorted(self.ends, row, side="right"))
        return self.read(at)[row - (self.ends[at - 1] if at else 0)]


class _Names(Sequence[str]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, row: Any) -> Any:
        return f"row {row}"


@dataclass(frozen=True)
class _Findings:
    """All that is to be written."""

    parts: Sequence[Part]
    corpus: Corpus
    given: Ints
    judgement: Judgement
    rows: Ints
    corrected: Ints
    stays: Flags
    written: dict[int, Any]

    def write(self, folder: Path, settings: dict[str, Any]) -> dict[str, str]:
        """Writes every file, and says where."""
        csv = require("pyarrow.csv", "data")
        writers: dict[str, Callable[[Any], None]] = {}
        single = isinstance(self.parts[0], ArrayPart)
        for name, table in (("credibility", self._found), ("denoised", self._denoised)):
            tables = [partial(table, at) for at in range(len(self.parts))]
            if single:
                writers[f"{name}.parquet"] = partial(_one_file, tables)
            for at, part in enumerate([] if single else self.parts):
                writers[f"{name}/{part.name}.parquet"] = partial(_one_file, tables[at : at + 1])
        worst = worst_first(self.judgement)
        listed = self._listed(worst)
        writers["corrections.csv"] = lambda file: csv.write_csv(listed, file)
        text = yaml.safe_dump({"data": self.corpus.name, **settings}, sort_keys=False)
        writers["config.yaml"] = lambda file: file.write(text.encode())
        for name, write in writers.items():
            write_whole(folder / name, write)
        names = dict.fromkeys(name.split("/")[0] for name in writers)
        return {name: str(folder / name) for name in names}

    def _listed(self, at: Ints) -> Any:
        """Flagged rows, with their neighbours and contents as text."""
        arrow = require("pyarrow", "data")
        table = self._columns(self.rows[at], at)
        near = [" ".join(map(str, value)) for value in table["neighbours"].to_pylist()]
        table = table.set_column(COLUMNS.index("neighbours"), "neighbours", arrow.array(near))
        if not self.corpus.content:
            return table
        order = np.argsort(self.rows[at])
        said = _ByRow(self.parts, lambda part: part.said())
        texts = np.empty(len(at), dtype=object)
        texts[order] = [str(said[row]) for row in self.rows[at][order].tolist()]
        return table.append_column(self.corpus.content, arrow.array(texts.tolist(), arrow.string()))

    def _found(self, part: int) -> Any:
        start, stop = self._rows_of(part)
        at = np.full(stop - start, -1)
        low, high = np.searchsorted(self.rows, [start, stop])
        at[self.rows[low:high] - start] = np.arange(low, high)
        return self._columns(np.arange(start, stop), at)

    def _columns(self, rows: Ints, at: Ints) -> Any:
        """The columns of the result for some rows; ``at`` is -1 where one was not judged."""
        arrow = require("pyarrow", "data")
        judgement, names = self.judgement, arrow.array(self.corpus.classes, arrow.string())
        judged, place = at >= 0, np.maximum(at, 0)
        prior = 1 - judgement.noise_share
        near = self._first[judgement.near.index[judgement.group[place], :SHOWN_NEIGHBOURS]]
        ends = np.cumsum(np.where(judged, near.shape[1], 0))

        def named(numbers: Ints) -> Any:
            masked = arrow.array(numbers, mask=numbers < 0)
            return arrow.DictionaryArray.from_arrays(masked, names).cast(arrow.string())

        reason = np.full(len(at), NOT_JUDGED, dtype=object)
        reason[judged] = reasons(judgement, self.corpus.classes, at[judged])
        values = {
            "row": rows,
            "label": named(self.corpus.labels[rows]),
            "credibility": np.where(judged, judgement.credibility[place], prior),
            "flagged": judged & judgement.flagged[place],
            "suggested_label": named(
                np.where(judged, self._suggested[place], self.corpus.labels[rows])
            ),
            "confidence": np.where(judged, self._confidence[place], prior),
            "neighbours": arrow.ListArray.from_arrays(
                arrow.array(np.r_[0, ends], arrow.int32()), arrow.array(near[judged].ravel())
            ),
            "reason": reason.tolist(),
        }
        return arrow.table({name: values[name] for name in COLUMNS})

    def _denoised(self, part: int) -> Any:
        """The owner's columns of a part, corrected by the policy."""
        arrow = require("pyarrow", "data")
        start, stop = self._rows_of(part)
        low, high = np.searchsorted(self.rows, [start, stop])
        own = self.parts[part]
        table = own.table()
        column = table[own.label].combine_chunks()
        values = column.to_pylist()
        for at in range(low, high):
            if self.corrected[at] != self.given[at]:
                values[self.rows[at] - start] = self.written[int(self.corrected[at])]
        stays = np.ones(stop - start, dtype=bool)
        stays[self.rows[low:high] - start] = self.stays[low:high]
        place = table.column_names.index(own.label)
        changed = arrow.array(values, type=column.type)
        return table.set_column(place, own.label, changed).filter(arrow.array(stays))

    def _rows_of(self, part: int) -> tuple[int, int]:
        stop = sum(len(own) for own in self.parts[: part + 1])
        return stop - len(self.parts[part]), stop

    @cached_property
    def _first(self) -> Ints:
        """First row of every content."""
        return self.rows[np.unique(self.judgement.group, return_index=True)[1]]

    @cached_property
    def _suggested(self) -> Ints:
        return self.judgement.suggested

    @cached_property
    def _confidence(self) -> Floats:
        return self.judgement.confidence


def _one_file(tables: Sequence[Callable[[], Any]], file: Any) -> None:
    """Writes tables, made one at a time, as one Parquet file."""
    parquet = require("pyarrow.parquet", "data")
    first, *rest = tables
    table = first()
    with parquet.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        for make in rest:
            writer.write_table(make())
