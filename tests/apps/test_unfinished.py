from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from counterpoint.apps.engines import Local
from counterpoint.apps.sharded import reannotate_parts
from counterpoint.apps.unfinished import FOLDER, Job
from counterpoint.curation import neighbour_search
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.data.parts import parquet_parts
from counterpoint.errors import DataError

QUICK = Judge(neighbours=20, corrector=Corrector(hidden=32))


class Counting(Local):
    """Counts what it does, and is interrupted before it embeds or searches more than so much."""

    def __init__(self, embeds: int = 99, searches: int = 99) -> None:
        self.left = {"embed": embeds, "search": searches}
        self.done = {"embed": 0, "search": 0}

    def map(self, task: Callable[[Any], Any], over: Iterable[Any]) -> Iterator[Any]:
        found = super().map(task, over)
        return self.counted("embed", found) if task.__name__ == "embed" else found

    def search(self, plan: Any, k: int) -> Iterator[Any]:
        return self.counted("search", super().search(plan, k))

    def counted(self, what: str, results: Iterator[Any]) -> Iterator[Any]:
        for result in results:
            if self.done[what] == self.left[what]:
                raise KeyboardInterrupt
            self.done[what] += 1
            yield result


@pytest.fixture(autouse=True)
def small_units(monkeypatch: Any) -> None:
    monkeypatch.setattr(neighbour_search, "UNIT_ROWS", 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three parts of 200 rows."""
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=600)
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.4 * rng.normal(size=(600, 12))
    y = np.where(rng.random(600) < 0.1, (truth + 1) % 3, truth)
    (tmp_path / "in").mkdir()
    for part in range(3):
        own = slice(200 * part, 200 * part + 200)
        write(tmp_path / "in" / f"{part}.parquet", z[own], y[own])
    return tmp_path / "in"


def write(file: Path, z: Any, y: Any) -> None:
    parquet.write_table(pa.table({"z": z.tolist(), "kind": y}), file)


def judged(folder: Path, out: Path, engine: Any, judge: Judge = QUICK) -> Any:
    inputs = parquet_parts(folder, text=None, embedding="z", label="kind")
    reannotate_parts(inputs, out, engine=engine, judge=judge)
    return parquet.read_table(out / "credibility")


def test_an_interrupted_run_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = judged(folder, tmp_path / "whole", Counting())
    for engine, done in (
        (Counting(embeds=2), {"embed": 2, "search": 0}),
        (Counting(searches=4), {"embed": 1, "search": 4}),
        (Counting(searches=0), {"embed": 0, "search": 0}),
    ):
        with pytest.raises(KeyboardInterrupt):
            judged(folder, out, engine)
        assert engine.done == done
        assert not (out / "credibility").exists()
    last = Counting()
    assert judged(folder, out, last).equals(whole)
    assert last.done == {"embed": 0, "search": 2}
    assert not (out / FOLDER).exists()


def test_only_what_changed_is_done_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        judged(folder, out, Counting(searches=5))
    labels = Counting(searches=0)
    table = parquet.read_table(folder / "0.parquet")
    z, y = np.array(table["z"].to_pylist()), table["kind"].to_numpy()
    write(folder / "0.parquet", z, np.roll(y, 1))
    with pytest.raises(KeyboardInterrupt):
        judged(folder, out, labels)
    write(folder / "0.parquet", z + 0.01, y)
    contents = Counting()
    found = judged(folder, out, contents)
    assert contents.done == {"embed": 1, "search": 6}
    assert labels.done == {"embed": 0, "search": 0}
    assert found.equals(judged(folder, tmp_path / "whole", Counting()))


def test_other_neighbours_are_searched_anew(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        judged(folder, tmp_path / "out", Counting(searches=5))
    more = Counting()
    judged(folder, tmp_path / "out", more, Judge(neighbours=30, corrector=QUICK.corrector))
    assert more.done == {"embed": 0, "search": 6}


def test_a_damaged_file_is_made_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        judged(folder, out, Counting(searches=5))
    file = next((out / FOLDER).glob("neighbours-*/*.npz"))
    file.write_bytes(file.read_bytes()[:100])
    again = Counting()
    found = judged(folder, out, again)
    assert again.done == {"embed": 0, "search": 2}
    assert found.equals(judged(folder, tmp_path / "whole", Counting()))


def test_vectors_depend_on_the_text_to_the_letter_and_on_the_encoder(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"t": ["a"], "kind": ["x"]}), tmp_path / "0.parquet")
    (text,) = parquet_parts(tmp_path, text="t", label="kind")
    rows = np.array([0])
    keys = {
        Job(text, rows, None, "content").key,
        Job(text, rows, "minilm", "content").key,
        Job(text, rows, "other", "content").key,
        Job(text, rows, None, "Content").key,
        Job(text, np.array([1]), None, "content").key,
    }
    assert len(keys) == 4


def test_embeddings_of_different_lengths(folder: Path, tmp_path: Path) -> None:
    write(folder / "1.parquet", np.eye(200), np.arange(200) % 3)
    with pytest.raises(DataError, match="different lengths: 12 and 200"):
        judged(folder, tmp_path / "out", None)
