from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from counterpoint.apps.review.intake import open_review
from counterpoint.apps.review.store import StaleError, Store, check_reviewer
from counterpoint.errors import DataError, SettingError


def said(store: Store, reviewer: str | None = None) -> dict[int, tuple[str, Any]]:
    return {d["row"]: (d["action"], d["after"]) for d in store.decisions(reviewer)}


def test_each_action_and_what_it_keeps(findings: Path) -> None:
    store = open_review(findings)
    store.decide("ada", 0, "accept", "dog")
    store.decide("ada", 1, "keep")
    store.decide("ada", 2, "other", "owl")
    store.decide("ada", 3, "skip", "owl")
    assert said(store) == {
        0: ("accept", "dog"),
        1: ("keep", "cat"),
        2: ("other", "owl"),
        3: ("skip", None),
    }
    first = store.decisions()[0]
    assert (first["reviewer"], first["before"], first["suggested"]) == ("ada", "cat", "dog")
    assert first["made"].endswith("+00:00")


def test_undo_goes_back_step_by_step_to_what_stood_before(findings: Path) -> None:
    store = open_review(findings)
    first = store.decide("ada", 0, "keep")
    store.decide("ada", 1, "keep")
    store.decide("ada", 0, "accept", "dog", seen=first.id)
    assert store.undo("ada") == 0
    assert said(store)[0] == ("keep", "cat")
    assert [store.undo("ada"), store.undo("ada"), store.undo("ada")] == [1, 0, None]
    assert said(store) == {}


def test_reviewers_are_kept_apart(findings: Path) -> None:
    store = open_review(findings)
    store.decide("ada", 0, "keep")
    store.decide("bob", 0, "accept", "dog")
    assert said(store, "ada") == {0: ("keep", "cat")}
    assert said(store, "bob") == {0: ("accept", "dog")}
    assert store.undo("bob") == 0
    assert said(store, "ada") == {0: ("keep", "cat")}
    assert store.undo("bob") is None


def test_a_decision_on_something_else_than_was_seen_is_refused(findings: Path) -> None:
    here, there = open_review(findings), open_review(findings)
    standing = here.decide("ada", 0, "keep")
    with pytest.raises(StaleError) as caught:
        there.decide("ada", 0, "accept", "dog")
    assert caught.value.standing == standing
    assert said(there) == {0: ("keep", "cat")}
    there.decide("ada", 0, "accept", "dog", seen=standing.id)
    assert said(here) == {0: ("accept", "dog")}


@pytest.mark.parametrize(
    ("row", "action", "after", "says"),
    [
        (0, "acept", "dog", "Did you mean accept"),
        (99, "keep", None, "no row 99"),
        (0, "other", "cow", "no class 'cow'"),
        (0, "accept", None, "no class None"),
        (0, "other", ["dog"], "one label"),
    ],
)
def test_wrong_decisions_are_refused(
    findings: Path, row: int, action: str, after: Any, says: str
) -> None:
    store = open_review(findings)
    with pytest.raises(SettingError, match=says):
        store.decide("ada", row, action, after)  # type: ignore[arg-type]
    assert said(store) == {}


def test_several_labels_are_kept_as_lists_in_the_order_of_the_classes(several: Path) -> None:
    store = open_review(several)
    made = store.decide("ada", 0, "other", ["tea", "art", "tea"])
    assert made.after == ["art", "tea"]
    assert store.standing("ada", 0) == made
    store.decide("ada", 1, "accept", [])
    store.decide("ada", 2, "keep")
    store.decide("ada", 3, "skip")
    assert said(store) == {
        0: ("other", ["art", "tea"]),
        1: ("accept", []),
        2: ("keep", []),
        3: ("skip", None),
    }
    first = store.decisions()[0]
    assert (first["before"], first["suggested"]) == (["art", "law"], ["art", "law", "tea"])
    assert store.undo("ada") == 3
    assert store.undo("ada") == 2
    assert said(store).keys() == {0, 1}


@pytest.mark.parametrize(
    ("after", "says"),
    [("art", "a list of labels"), (["art", "cow"], "no class 'cow'"), (None, "no class None")],
)
def test_wrong_lists_are_refused(several: Path, after: Any, says: str) -> None:
    store = open_review(several)
    with pytest.raises(SettingError, match=says):
        store.decide("ada", 0, "other", after)
    assert said(store) == {}


def test_a_confirmed_decision_outlives_a_kill(findings: Path) -> None:
    open_review(findings).close()
    code = f"""
from pathlib import Path
from counterpoint.apps.review.store import Store
store = Store(Path({str(findings)!r}))
while True:
    for row in range(6):
        standing = store.standing("ada", row)
        made = store.decide("ada", row, "keep", seen=standing and standing.id)
        print(made.id, row, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        confirmed = [child.stdout.readline().split() for _ in range(40)]
        os.kill(child.pid, signal.SIGKILL)
        confirmed += [line.split() for line in child.stdout.read().splitlines() if " " in line]
    assert child.returncode == -signal.SIGKILL
    store = open_review(findings)
    with store.reading() as database:
        kept = set(database.execute("SELECT id, row FROM decision").fetchall())
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert {(int(id), int(row)) for id, row in confirmed if row} <= kept
    assert len(said(store)) == 6


def test_two_processes_write_to_one_folder(make_findings: object, tmp_path: Path) -> None:
    count = 60
    folder = make_findings(  # type: ignore[operator]
        tmp_path / "f", ["t"] * count, ["a"] * count, ["b"] * count
    )
    open_review(folder).close()
    code = """
import sys
from pathlib import Path
from counterpoint.apps.review.store import Store
store = Store(Path(sys.argv[1]))
for row in range(60):
    store.decide(sys.argv[2], row, "keep")
"""
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(folder), who]) for who in ("ada", "bob")
    ]
    assert [child.wait() for child in children] == [0, 0]
    store = open_review(folder)
    assert len(said(store, "ada")) == len(said(store, "bob")) == count


def test_a_folder_that_cannot_be_written_is_named(findings: Path) -> None:
    (findings / "review.sqlite").mkdir()
    with pytest.raises(SettingError, match=r"Cannot write .*review\.sqlite.*copy the folder"):
        open_review(findings)


def test_a_read_only_file_is_named(findings: Path) -> None:
    open_review(findings).close()
    if os.access(findings / "review.sqlite", os.W_OK) and os.geteuid() == 0:
        pytest.skip("root writes to anything")
    (findings / "review.sqlite").chmod(0o444)
    with pytest.raises(SettingError, match="Cannot write"):
        open_review(findings)


def test_a_damaged_file_is_named(findings: Path) -> None:
    (findings / "review.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="damaged or no database"):
        open_review(findings)


def test_the_log_is_written_ahead_and_synchronous(findings: Path) -> None:
    store = open_review(findings)
    with store.reading() as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_failed_transaction_leaves_nothing(findings: Path) -> None:
    store = open_review(findings)

    def break_off() -> None:
        with store.writing() as database:
            database.execute("DELETE FROM item")
            database.execute("no such statement")

    with pytest.raises(sqlite3.OperationalError):
        break_off()
    assert store.decide("ada", 0, "keep").after == "cat"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 81, "\u202ex"])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match="printable"):
        check_reviewer(name)
    assert check_reviewer(" Ada Lovelace ") == "Ada Lovelace"
