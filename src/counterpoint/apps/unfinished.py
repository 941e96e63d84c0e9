"""Vectors and neighbours of a corpus in parts; those that a killed run had are found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.apps.engines import Engine
from counterpoint.apps.representations import (
    encoder_identity,
    represent_images,
    represent_texts,
)
from counterpoint.curation.neighbour_search import Found, Plan, Unit, slices
from counterpoint.data.finished import Finished
from counterpoint.data.parts import Part, Pictures
from counterpoint.data.stored_rows import StoredRows, store_rows, stored_rows
from counterpoint.errors import DataError
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.progress import OnProgress, Progress

FOLDER = ".unfinished"


@dataclass(frozen=True)
class Job:
    """Some rows of a part, to be embedded.

    Attributes:
        part: which.
        rows: of the part, int64 ``(n,)``.
        encoder: what embeds texts or pictures; None for the default.
        content: digest of what the whole part holds.
    """

    part: Part
    rows: Ints
    encoder: str | None
    content: str

    @property
    def key(self) -> str:
        """Digest of everything that the vectors depend on."""
        identity = encoder_identity(self.encoder) if self.part.kind != "embeddings" else ""
        return _digest(self.content.encode(), self.rows.tobytes(), identity.encode())


@dataclass(frozen=True)
class Vectors:
    """Rows on disk, in a file for every part that has any.

    Attributes:
        parts: ``(n, D)`` each, all of one length D.
        key: digest of what they are.
    """

    parts: Sequence[StoredRows]
    key: str

    @property
    def shape(self) -> tuple[int, int]:
        """N and D."""
        return sum(map(len, self.parts)), self.parts[0].shape[1]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """All rows, some at a time."""
        for rows in self.parts:
            for part in slices(len(rows)):
                yield rows[part]

    def mean(self) -> Floats:
        """``(D,)``."""
        total: Floats = sum(block.sum(axis=0, dtype=np.float64) for block in self.blocks())
        return total / self.shape[0]


def embed(job: Job) -> NDArray[np.float32]:
    """Vectors of some rows of a part."""
    items = job.part.items()
    if isinstance(items, np.ndarray):
        return items[job.rows].astype(np.float32)
    if isinstance(items, Pictures):
        return represent_images(items.at(job.rows.tolist()), job.encoder)
    return represent_texts([items[row] for row in job.rows.tolist()], job.encoder)


def embedded(
    jobs: Sequence[Job], engine: Engine, folder: Path, on_progress: OnProgress | None = None
) -> Vectors:
    """Vectors of all jobs, each kept in ``folder`` as soon as it is done, or found there.

    Raises:
        DataError: vectors of different lengths.
    """
    jobs = [job for job in jobs if len(job.rows)]
    files = [folder / f"vectors-{job.key}.npy" for job in jobs]
    missing = [(job, file) for job, file in zip(jobs, files, strict=True) if not file.is_file()]
    count = sum(len(job.rows) for job in jobs)
    done = count - sum(len(job.rows) for job, _ in missing)
    found = engine.map(embed, [job for job, _ in missing])
    for (_, file), z in zip(missing, found, strict=True):
        store_rows(file, [z], (len(z), z.shape[1]), np.float32)
        done += len(z)
        if on_progress is not None:
            on_progress(Progress("embed", done, count))
    parts = [stored_rows(file) for file in files]
    width = parts[0].shape[1]
    for rows in parts:
        if rows.shape[1] != width:
            raise DataError(f"Embeddings of different lengths: {width} and {rows.shape[1]}.")
    return Vectors(parts, _digest(*(file.name.encode() for file in files)))


@dataclass(frozen=True)
class Searching:
    """An engine that searches what was not found yet; each unit is kept as soon as it is done.

    Attributes:
        engine: where the rest is searched.
        folder: where neighbours are kept.
        key: digest of what the vectors are.
    """

    engine: Engine
    folder: Path
    key: str

    def __call__(self, plan: Plan, k: int) -> Iterator[tuple[Unit, Found]]:
        """Neighbours of the queries of every unit, in any order."""
        searched = (plan.rows.kept.str, repr(plan.units), str(k))
        key = _digest(self.key.encode(), plan.order.tobytes(), *(s.encode() for s in searched))
        kept = Finished("neighbours", key, self.folder)
        missing = []
        for unit in plan.units:
            found = kept.part(str(unit.queries.start))
            if found is None:
                missing.append(unit)
            else:
                yield unit, (found["similarity"].astype(np.float32), found["place"])
        for unit, (similarity, place) in self.engine.search(replace(plan, units=tuple(missing)), k):
            numbers = {"similarity": similarity, "place": place.astype(np.int32)}
            kept.keep_part(str(unit.queries.start), **numbers)
            yield unit, (similarity, place)


def _digest(*parts: bytes) -> str:
    """Of some contents, whose borders count."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:32]
