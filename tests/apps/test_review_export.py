from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
import pyarrow as arrow
from pyarrow import parquet

from counterpoint.apps.review.export import export, inert
from counterpoint.apps.review.intake import open_review
from counterpoint.data.findings import Findings
from counterpoint.errors import SettingError


def lines(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_decisions_say_who_when_before_and_after(findings: Path, tmp_path: Path) -> None:
    store = open_review(findings)
    made = store.decide("ada", 0, "accept", "dog")
    store.decide("bob", 0, "keep")
    store.decide("bob", 3, "skip")
    found = export(store, findings, tmp_path / "d.csv", "decisions")
    assert found["rows"] == 3
    first, second, third = lines(tmp_path / "d.csv")
    assert first == {
        "row": "0",
        "reviewer": "ada",
        "action": "accept",
        "before": "cat",
        "suggested": "dog",
        "after": "dog",
        "when": made.made,
    }
    assert (second["reviewer"], second["after"], third["after"]) == ("bob", "cat", "")
    export(store, findings, tmp_path / "d.parquet", "decisions", "bob")
    table = parquet.read_table(tmp_path / "d.parquet")
    assert table["row"].to_pylist() == [0, 3]
    assert table["after"].to_pylist() == ["cat", None]


def test_corrected_corpus_keeps_columns_types_and_order(make_findings: Any, tmp_path: Path) -> None:
    folder = make_findings(
        tmp_path / "f",
        ["p", "q", "r", "s"],
        [1, 2, 1, None],
        [2, 1, 1, None],
        id=[7, 8, 9, 10],
    )
    store = open_review(folder)
    store.decide("ada", 0, "accept", "2")
    store.decide("ada", 2, "skip")
    export(store, folder, tmp_path / "c.parquet", "corrected")
    before = parquet.read_table(folder / "source.parquet")
    after = parquet.read_table(tmp_path / "c.parquet")
    assert after.column_names == before.column_names
    assert after["label"].type == before["label"].type
    assert after["label"].to_pylist() == [2, 2, 1, None]
    assert after["id"].to_pylist() == [7, 8, 9, 10]


def test_rows_on_which_reviewers_disagree_keep_their_label(findings: Path, tmp_path: Path) -> None:
    store = open_review(findings)
    for who, action in (("ada", "accept"), ("bob", "keep")):
        store.decide(who, 0, action, "dog")  # type: ignore[arg-type]
        store.decide(who, 1, "accept", "owl")
    found = export(store, findings, tmp_path / "c.csv", "corrected")
    assert found["disputed"] == 1
    assert [line["label"] for line in lines(tmp_path / "c.csv")][:2] == ["cat", "owl"]
    export(store, findings, tmp_path / "c.csv", "corrected", "ada")
    assert [line["label"] for line in lines(tmp_path / "c.csv")][:2] == ["dog", "owl"]


def test_decisions_on_several_labels_are_lists(several: Path, tmp_path: Path) -> None:
    store = open_review(several)
    store.decide("ada", 0, "accept", ["art", "law", "tea"])
    store.decide("ada", 1, "accept", [])
    store.decide("ada", 3, "skip")
    export(store, several, tmp_path / "d.csv", "decisions")
    first, second, third = lines(tmp_path / "d.csv")
    assert (first["before"], first["after"]) == ('["art", "law"]', '["art", "law", "tea"]')
    assert (second["after"], third["after"]) == ("[]", "")
    export(store, several, tmp_path / "d.parquet", "decisions")
    table = parquet.read_table(tmp_path / "d.parquet")
    assert table["after"].to_pylist() == [["art", "law", "tea"], [], None]


def test_corrected_lists_keep_types_and_what_did_not_change(
    make_findings: Any, tmp_path: Path
) -> None:
    given = [[30, 4], [4], None, [], [4, 30]]
    folder = make_findings(tmp_path / "f", list("pqrst"), given, [[4], [4, 30], None, [4], [30, 4]])
    store = open_review(folder)
    store.decide("ada", 0, "accept", ["4"])
    store.decide("ada", 1, "accept", ["4", "30"])
    store.decide("ada", 3, "accept", ["4"])
    store.decide("ada", 4, "accept", ["4", "30"])
    store.decide("bob", 3, "keep")
    found = export(store, folder, tmp_path / "c.parquet", "corrected")
    after = parquet.read_table(tmp_path / "c.parquet")["label"]
    assert after.type == parquet.read_table(folder / "source.parquet")["label"].type
    assert after.to_pylist() == [[4], [4, 30], None, [], [4, 30]]
    assert found["disputed"] == 1


def test_corrected_texts_of_several_labels_are_written_as_their_owner_does() -> None:
    table = arrow.table({"y": ["b; a ", "a", "", None], "n": [1, 2, 3, 4]})
    found = arrow.table({"label": [["a", "b"], ["a"], None, None]})
    findings = Findings("t.csv", "text", "y", "n", None, table, found, separator=";")
    after = findings.relabelled({0: ["b"], 1: ["a", "b"]})
    assert after["y"].to_pylist() == ["b", "a; b", "", None]
    assert after["n"].to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "  =1", "\t=1", "\n=1", "＝1"]
)
def test_no_spreadsheet_runs_a_cell(cell: str) -> None:
    assert inert(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "cat", "-1", "+1.5e-3", "1=1", "- .5"[2:], "'=1"])
def test_plain_cells_and_numbers_stay(cell: str) -> None:
    assert inert(cell) == cell


def test_hostile_texts_survive_csv(make_findings: Any, tmp_path: Path) -> None:
    texts = ['=HYPERLINK("x")', 'quote " , and\nline', "nul \0 here", "שלום \u202e", "👩🏽‍🔬"]
    folder = make_findings(tmp_path / "f", texts, ["a"] * 5, ["b"] * 5)
    found = export(open_review(folder), folder, tmp_path / "c.csv", "corrected")
    assert found["quoted"] == 1
    assert [line["text"] for line in lines(tmp_path / "c.csv")] == ["'" + texts[0], *texts[1:]]
    export(open_review(folder), folder, tmp_path / "c.parquet", "corrected")
    assert parquet.read_table(tmp_path / "c.parquet")["text"].to_pylist() == texts


def test_a_failing_export_leaves_the_old_file(
    findings: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    store = open_review(findings)
    store.decide("ada", 0, "keep")
    file = tmp_path / "d.csv"
    export(store, findings, file, "decisions")
    before = file.read_bytes()
    store.decide("ada", 1, "keep")
    monkeypatch.setattr("counterpoint.apps.review.export._cell", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(store, findings, file, "decisions")
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["d.csv"]


def test_other_endings_are_refused(findings: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"\.csv or \.parquet"):
        export(open_review(findings), findings, tmp_path / "d.xlsx", "decisions")
