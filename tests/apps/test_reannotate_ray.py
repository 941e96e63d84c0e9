from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from counterpoint.apps import engines
from counterpoint.apps.engines import Ray
from counterpoint.apps.sharded import reannotate_parts
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.data.parts import parquet_parts

ray = pytest.importorskip("ray")

KINDS = ("cat", "dog", "owl")
JUDGE = Judge(neighbours=20, corrector=Corrector(hidden=32))


class Killing(Ray):
    """At every stage kills the worker of the first task, when it is about to answer."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def _run(self, task: Callable[..., Any], jobs: Iterable[Any]) -> Iterator[Any]:
        marker = self.folder / f"killed-{task.__name__}"

        def deadly(*given: Any) -> Any:
            found = task(*given)
            try:
                marker.touch(exist_ok=False)
            except FileExistsError:
                return found
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        return super()._run(deadly, jobs)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=3000)
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.5 * rng.normal(size=(3000, 12))
    y = np.where(rng.random(3000) < 0.1, (truth + 1) % 3, truth)
    place: Path = tmp_path_factory.mktemp("parts")
    for part in range(4):
        own = slice(750 * part, 750 * part + 750)
        table = pa.table({"z": z[own].tolist(), "kind": [KINDS[n] for n in y[own]]})
        parquet.write_table(table, place / f"{part}.parquet")
    return place


DRIVER = """
import os, signal, sys
from pathlib import Path
import ray
from counterpoint.apps.engines import Ray
from counterpoint.apps.sharded import reannotate_parts
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.data.parts import parquet_parts

folder, out, address = sys.argv[1:]

class Killed(Ray):
    "Its driver dies when the third result of a search comes in."

    def search(self, plan, k):
        for number, found in enumerate(super().search(plan, k)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield found

parts = parquet_parts(Path(folder), text=None, embedding="z", label="kind")
judge = Judge(neighbours=20, corrector=Corrector(hidden=32))
reannotate_parts(parts, out, engine=Killed(address), judge=judge, exact=1000, recall=0.9)
"""


class Counting(Ray):
    """Notes the name of every task."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def _run(self, task: Callable[..., Any], jobs: Iterable[Any]) -> Iterator[Any]:
        for found in super()._run(task, jobs):
            self.names.append(task.__name__)
            yield found


def judged(folder: Path, out: Path, engine: Any, exact: int) -> Any:
    inputs = parquet_parts(folder, text=None, embedding="z", label="kind")
    result = reannotate_parts(inputs, out, engine=engine, judge=JUDGE, exact=exact, recall=0.9)
    table = pa.concat_tables(
        [parquet.read_table(out / "credibility" / f"{part}.parquet") for part in range(4)]
    )
    denoised = parquet.read_table(out / "denoised")["kind"].to_pylist()
    return result, table.to_pandas(), denoised


def assert_equal(found: Any, alone: Any) -> None:
    (result, table, denoised), (expected, whole, cleaned) = found, alone
    np.testing.assert_allclose(table["credibility"], whole["credibility"], atol=1e-5)
    assert table["flagged"].tolist() == whole["flagged"].tolist()
    assert table["suggested_label"].tolist() == whole["suggested_label"].tolist()
    assert denoised == cleaned
    assert result["recall"] == expected["recall"]
    assert 0 < result["flagged"] < 600


def test_equals_one_machine(folder: Path, tmp_path: Path) -> None:
    alone = judged(folder, tmp_path / "alone", None, exact=10_000)
    assert alone[0]["recall"] == 1
    assert_equal(judged(folder, tmp_path / "ray", Ray(), exact=10_000), alone)


@pytest.fixture(scope="module")
def clustered(folder: Path, tmp_path_factory: Any) -> Any:
    """What one machine finds in clusters, of which there are three."""
    alone = judged(folder, tmp_path_factory.mktemp("alone"), None, exact=1000)
    assert 0.9 <= alone[0]["recall"] < 1
    return alone


def test_killed_workers_change_nothing(folder: Path, clustered: Any, tmp_path: Path) -> None:
    assert_equal(judged(folder, tmp_path / "ray", Killing(tmp_path), exact=1000), clustered)
    killed = {file.name for file in tmp_path.glob("killed-*")}
    assert killed == {"killed-look", "killed-embed", "killed-searched"}


def test_a_killed_driver_goes_on(folder: Path, clustered: Any, tmp_path: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", DRIVER, str(folder), str(tmp_path / "out"), address]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out" / "credibility").exists()
    second = Counting()
    assert_equal(judged(folder, tmp_path / "out", second, exact=1000), clustered)
    assert second.names == ["look"] * 4 + ["searched"]
    assert not (tmp_path / "out" / ".unfinished").exists()


def test_work_is_done_by_several_processes() -> None:
    def worker(_: int) -> int:
        time.sleep(0.05)
        return os.getpid()

    pids = set(Ray().map(worker, range(40)))
    assert os.getpid() not in pids
    assert len(pids) >= 2


def test_results_keep_their_order_and_do_not_pile_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(engines, "AHEAD", 1)
    started: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(6):
            started.append(part)
            yield part

    found = Ray().map(lambda part: part, parts())
    assert next(found) == 0
    assert len(started) <= 2
    assert list(found) == [1, 2, 3, 4, 5]
