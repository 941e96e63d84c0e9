from __future__ import annotations

from typing import Any

from counterpoint import catalog

KEYS = {"id", "name", "title", "family", "kind", "modality", "arxiv", "status"}


def test_json_holds_every_row(as_json: Any) -> None:
    rows = as_json("list")["rows"]
    assert len(rows) == 63
    assert all(set(row) == KEYS and all(row.values()) for row in rows)


def test_filters_combine(as_json: Any) -> None:
    rows = as_json("list", "*cse", "--kind", "view", "--modality", "text")["rows"]
    assert [row["id"] for row in rows] == ["esimcse", "whitenedcse"]


def test_filter_by_status_and_family(as_json: Any) -> None:
    for status in catalog.MEANING:
        assert {row["status"] for row in as_json("list", "--status", status)["rows"]} <= {status}
    assert {row["id"] for row in as_json("list", "--family", "diffusion")["rows"]} == {
        "classdiffusion",
        "sage",
    }


def test_nothing_found_is_an_empty_list(as_json: Any) -> None:
    assert as_json("list", "no-such-*") == {"rows": []}


def test_table_shows_ids_whole_on_a_narrow_terminal(invoke: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = invoke("list").stdout
    assert all(entry.id in shown for entry in catalog.entries())
    assert max(map(len, shown.splitlines())) <= 60


def test_unknown_kind_lists_the_right_ones(invoke: Any) -> None:
    result = invoke("list", "--kind", "los")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "No kind 'los'" in result.stderr
    assert "loss" in result.stderr


def test_nothing_found_is_said(invoke: Any) -> None:
    result = invoke("list", "zz*")
    assert result.exit_code == 0
    assert "No system matches 'zz*'" in result.stderr
    assert result.stdout == ""
