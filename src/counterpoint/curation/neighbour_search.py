"""Neighbours among rows that are kept on disk: exact, or within the clusters that lie nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.curation.credibility import Neighbours
from counterpoint.data.stored_rows import BLOCK_ROWS, StoredRows, store_rows
from counterpoint.engine.neighbours import TILE_COLUMNS, most_similar, nearer
from counterpoint.probes.inputs import Ints
from counterpoint.progress import OnProgress, Progress

EXACT_ROWS = 100_000
CLUSTER_ROWS = 1000
SAMPLE_A_CLUSTER = 40
ROUNDS = 8
PROBED = 2000
RECALL = 0.95
UNIT_ROWS = 4096

Read = Callable[[slice], NDArray[np.float32]]
Found = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class Unit:
    """Queries, and where their neighbours are looked for, as places of stored rows.

    Attributes:
        queries: all within one of the candidates.
        candidates: what is searched.
    """

    queries: slice
    candidates: tuple[slice, ...]


@dataclass(frozen=True)
class Plan:
    """A search, cut into parts that may run anywhere in any order.

    Attributes:
        rows: as searched, on disk ``(N, D)``.
        order: number of the row at each place ``(N,)``.
        units: every place is a query once.
        recall: share of the true neighbours that are found, measured; 1 for exact search.
    """

    rows: StoredRows
    order: Ints
    units: tuple[Unit, ...]
    recall: float

    @property
    def candidates(self) -> tuple[slice, ...]:
        """The different slices that units search."""
        every = {(s.start, s.stop): s for unit in self.units for s in unit.candidates}
        return tuple(every[key] for key in sorted(every))


Search = Callable[[Plan, int], Iterator[tuple[Unit, Found]]]


def plan_search(
    rows: StoredRows,
    k: int,
    folder: Path,
    *,
    exact: int = EXACT_ROWS,
    recall: float = RECALL,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Plan:
    """Plans the search for the ``k`` nearest other rows of every row.

    Up to ``exact`` rows all pairs are compared. Beyond, spherical k-means makes clusters of about
    1,000 rows, and a row looks into the clusters whose centres are nearest to its own one's: as
    many as find the share ``recall`` of the true neighbours of 2,000 random rows, which are
    compared with all rows to know.

    Args:
        rows: unit rows ``(N, D)``.
        k: below N.
        folder: where a copy in the order of the clusters is kept.
        exact: rows that are still compared with each other.
        recall: in (0, 1].
        seed: of clusters and probe.
        on_progress: told how far it is.
    """
    if len(rows) <= exact:
        return Plan(rows, np.arange(len(rows)), _all_with_all(len(rows)), 1.0)
    rng = np.random.default_rng(seed)
    cluster, centres = _clustered(rows, rng, on_progress)
    order = np.argsort(cluster, kind="stable")
    blocks = (rows[order[part]] for part in slices(len(rows)))
    placed = store_rows(folder / "by-cluster.npy", blocks, rows.shape, rows.kept)
    cluster = cluster[order]
    nearest = most_similar(centres, centres, len(centres))[1].numpy()
    looked, share = _clusters_needed(placed, cluster, nearest, k, recall, rng, on_progress)
    ends = np.cumsum(np.bincount(cluster, minlength=len(centres)))
    parts = [slice(a, b) for a, b in zip(np.r_[0, ends[:-1]].tolist(), ends.tolist(), strict=True)]
    units = tuple(
        Unit(slice(start, min(start + UNIT_ROWS, own.stop)), tuple(parts[n] for n in near[:looked]))
        for own, near in zip(parts, nearest.tolist(), strict=True)
        for start in range(own.start, own.stop, UNIT_ROWS)
    )
    return Plan(placed, order, units, share)


def search_unit(unit: Unit, read: Read, k: int) -> Found:
    """The ``k`` nearest other rows of the queries of one unit.

    Args:
        unit: what to search.
        read: rows at a slice of places ``(n, D)``.
        k: below the number of candidates.

    Returns:
        Cosines ``(n, k)``, falling along each row, and places int64 ``(n, k)``.
    """
    queries = torch.from_numpy(read(unit.queries))
    found: tuple[Tensor, Tensor] | None = None
    for tile in _tiles(unit.candidates):
        rows = torch.from_numpy(np.concatenate([read(part) for part in tile]))
        places = torch.cat([torch.arange(part.start, part.stop) for part in tile])
        own, before = None, 0
        for part in tile:
            if part.start <= unit.queries.start < part.stop:
                own = before + unit.queries.start - part.start
            before += part.stop - part.start
        value, at = most_similar(queries, rows, k, own)
        found = nearer(found, (value, places[at]), k)
    assert found is not None
    return found[0].numpy(), found[1].numpy()


def in_turn(plan: Plan, k: int) -> Iterator[tuple[Unit, Found]]:
    """Searches the units one after the other, on this machine."""
    for unit in plan.units:
        yield unit, search_unit(unit, plan.rows.__getitem__, k)


def search(
    plan: Plan, k: int, run: Search = in_turn, on_progress: OnProgress | None = None
) -> Neighbours:
    """Neighbours of all rows, in float32 and int32, by any engine that runs units."""
    count = len(plan.rows)
    similarity = np.empty((count, k), dtype=np.float32)
    index = np.empty((count, k), dtype=np.int32)
    done = 0
    for unit, (value, place) in run(plan, k):
        rows = plan.order[unit.queries]
        similarity[rows], index[rows] = value, plan.order[place]
        done += len(rows)
        if on_progress is not None:
            on_progress(Progress("find the neighbours", done, count))
    return Neighbours(similarity, index)


def slices(count: int, size: int = BLOCK_ROWS) -> Iterator[slice]:
    """Consecutive slices of at most ``size`` rows."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _all_with_all(count: int) -> tuple[Unit, ...]:
    every = tuple(slices(count, TILE_COLUMNS))
    return tuple(Unit(queries, every) for queries in slices(count, UNIT_ROWS))


def _tiles(parts: tuple[slice, ...]) -> Iterator[list[slice]]:
    """Parts together, as many as fit a tile of the engine."""
    tile: list[slice] = []
    size = 0
    for part in parts:
        if tile and size + part.stop - part.start > TILE_COLUMNS:
            yield tile
            tile, size = [], 0
        tile.append(part)
        size += part.stop - part.start
    yield tile


def _clustered(
    rows: StoredRows, rng: np.random.Generator, on_progress: OnProgress | None
) -> tuple[Ints, Tensor]:
    """Cluster of each row, none empty, and their centres."""
    count = -(-len(rows) // CLUSTER_ROWS)
    chosen = np.sort(rng.choice(len(rows), min(len(rows), SAMPLE_A_CLUSTER * count), replace=False))
    sample = torch.from_numpy(rows[chosen])
    centres = sample[torch.from_numpy(rng.choice(len(sample), count, replace=False))]
    for done in range(ROUNDS):
        own = most_similar(sample, centres, 1)[1][:, 0]
        total = torch.zeros_like(centres).index_add_(0, own, sample)
        there = total.norm(dim=1) > 0
        centres = torch.where(there[:, None], torch.nn.functional.normalize(total), centres)
        if on_progress is not None:
            on_progress(Progress("cluster the rows", done + 1, ROUNDS))
    del sample
    cluster = np.empty(len(rows), dtype=np.int64)
    for part in slices(len(rows)):
        cluster[part] = most_similar(torch.from_numpy(rows[part]), centres, 1)[1][:, 0].numpy()
    used, numbers = np.unique(cluster, return_inverse=True)
    return numbers.reshape(-1), centres[torch.from_numpy(used)]


def _clusters_needed(
    rows: StoredRows,
    cluster: Ints,
    nearest: Any,
    k: int,
    recall: float,
    rng: np.random.Generator,
    on_progress: OnProgress | None,
) -> tuple[int, float]:
    """How many clusters to look into, and the share of true neighbours that lie there."""
    probe = np.sort(rng.choice(len(rows), min(PROBED, len(rows)), replace=False))
    queries = torch.from_numpy(rows[probe])
    found: tuple[Tensor, Tensor] | None = None
    for part in slices(len(rows), TILE_COLUMNS):
        value, at = most_similar(queries, torch.from_numpy(rows[part]), k + 1)
        found = nearer(found, (value, at + part.start), k + 1)
        if on_progress is not None:
            on_progress(Progress("probe the search", part.stop, len(rows)))
    assert found is not None
    places = found[1].numpy()
    others = places != probe[:, None]
    rank = np.empty_like(nearest)
    np.put_along_axis(rank, nearest, np.arange(len(nearest))[None], axis=1)
    away = np.sort(rank[cluster[probe][:, None], cluster[places]][others])
    least = int(away[min(len(away) - 1, int(np.ceil(recall * len(away))) - 1)]) + 1
    size = np.bincount(cluster)
    while (size[nearest[:, :least]].sum(axis=1) <= k).any():
        least += 1
    return least, float((away < least).mean())
