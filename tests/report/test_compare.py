from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
go = pytest.importorskip("plotly.graph_objects")

from counterpoint.report import compare_page  # noqa: E402

Make = Callable[..., dict[str, Any]]
OPTIONAL = (
    "geometry",
    "history",
    "course",
    "curves",
    "probes",
    "loss",
    "seconds",
    "warnings",
    "role",
)


class Reader(HTMLParser):
    """Collects the text of the page, its elements and its embedded figures."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.elements, self.scripts = [], [], []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in ("script", "style") else ""
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append([dict(attrs).get("class"), ""])

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1][1] += data
        elif not self._inside:
            self.text.append(data)

    @property
    def figures(self) -> list[dict[str, Any]]:
        return [json.loads(text) for kind, text in self.scripts if kind == "figure"]


def rendered(results: dict[str, Any], folder: Path) -> Reader:
    path = folder / "report.html"
    compare_page(results, path)
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def ids(reader: Reader) -> list[str]:
    return [attrs["id"] for tag, attrs in reader.elements if tag == "section"]


def test_holds_every_part_once(make_results: Make, tmp_path: Path) -> None:
    reader = rendered(make_results(), tmp_path)
    assert ids(reader) == [
        "leaderboard",
        "probes",
        "geometry",
        "trajectories",
        "scores",
        "training",
        "regimes",
        "warnings",
        "protocol",
        "reproduce",
    ]
    assert "71.0\u202f%" in reader.text
    assert "counterpoint compare --data digits" in reader.text


def test_names_nothing_outside_itself(make_results: Make, tmp_path: Path) -> None:
    for tag, attrs in rendered(make_results(), tmp_path).elements:
        for name in ("src", "href"):
            value = attrs.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, value)


def test_leaves_nothing_beside_the_page(make_results: Make, tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    compare_page(make_results(), target)
    compare_page(make_results(), target)
    assert list(target.parent.iterdir()) == [target]


def test_plotly_is_inlined_once(make_results: Make, tmp_path: Path) -> None:
    reader = rendered(make_results(), tmp_path)
    assert sum("plotly.js v" in text for _, text in reader.scripts) == 1


def test_figures_fit_plotlys_schema(make_results: Make, tmp_path: Path) -> None:
    for figure in rendered(make_results(), tmp_path).figures:
        text = re.sub(r'"--[a-z0-9-]+"', '"#123456"', json.dumps(figure))
        go.Figure(json.loads(text))


def test_figures_carry_the_numbers(make_results: Make, tmp_path: Path) -> None:
    reader = rendered(make_results(), tmp_path)
    knn = next(t for t in reader.figures[0]["data"] if t["name"] == "kNN")
    assert sorted(knn["x"]) == pytest.approx([30, 40, 60, 70, 71, 90])
    assert min(knn["error_x"]["array"]) == pytest.approx(100 * (0.9 * 0.1 / 400) ** 0.5)
    training = reader.figures[9]["data"]
    assert [len(trace["x"]) for trace in training] == [200] * 4
    assert training[0]["x"][0] == pytest.approx(1.0)
    path = reader.figures[2]["data"][0]
    assert path["customdata"] == [24, 49, 74]
    assert path["y"] == [-2 - step / 100 for step in (24, 49, 74)]


def test_score_histograms_are_shares_of_their_kind(make_results: Make, tmp_path: Path) -> None:
    reader = rendered(make_results(), tmp_path)
    positive, negative = reader.figures[3]["data"]
    assert positive["y"] == [0, 0, 10, 90, 90]
    assert negative["y"] == [0, 30, 70, 0, 0]
    assert "mean positive 0.70, negative 0.10, overlap 10.0\u202f%" in reader.text


def test_marks_best_and_ties_among_methods_only(make_results: Make, tmp_path: Path) -> None:
    compare_page(make_results(), tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text()
    rows = {
        re.search(r"<bdi>(.*?)</bdi>", text)[1]: text
        for text in re.findall(r"<tr data-row>.*?</tr>", html, re.S)
    }
    assert rows["simclr+dcl"].count('title="best method"') == 3
    assert rows["simclr"].count("within noise") == 3
    assert rows["moco"].count('title="best method"') == 3
    for name in ("supcon", "pixels", "untrained"):
        assert "best method" not in rows[name]
        assert "within noise" not in rows[name]
    assert 'aria-label="missing: ' not in html


def test_methods_that_do_not_beat_the_floor_are_badged(
    make_results: Make, make_row: Make, tmp_path: Path
) -> None:
    floor = make_row("pixels", 0.7, "floor")
    rows = [make_row("good", 0.9), make_row("same", 0.71), make_row("bad", 0.5)]
    text = " ".join(rendered(make_results(floor, *rows), tmp_path).text)
    assert re.findall(r"kNN (?:ties|below) pixels", text) == ["kNN ties pixels", "kNN below pixels"]


def test_missing_values_say_why(make_results: Make, make_row: Make, tmp_path: Path) -> None:
    failed = {"method": "mochi", "role": "method", "error": "ran out of memory"}
    diverged = make_row("simclr", 0.5, loss=float("nan"))
    reasons = {"alignment": "no embeddings of two views were given"}
    unseen = make_row("moco", 0.4, geometry={"alignment": None}, reasons=reasons)
    floor = make_row("pixels", 0.3, "floor", seconds=None)
    compare_page(make_results(failed, diverged, unseen, floor), tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text()
    assert html.count('title="failed: ran out of memory"') == 11
    assert html.count('title="not a finite number: nan"') == 1
    assert html.count('title="nothing is trained here"') == 1
    assert html.count('title="no embeddings of two views were given"') == 1
    assert html.count('title="not measured"') == 3


def test_unlabelled_data_is_named_as_the_reason(
    make_results: Make, make_row: Make, tmp_path: Path
) -> None:
    rows = make_row("simclr", 0.5, probes={}), make_row("moco", 0.6, probes={})
    results = make_results(*rows, data={"name": "photos", "train": 10, "test": 5, "classes": 0})
    reader = rendered(results, tmp_path)
    assert "probes" not in ids(reader)
    reasons = [attrs["title"] for _, attrs in reader.elements if attrs.get("class") == "none"]
    assert reasons == ["the data has no labels"] * 6


@pytest.mark.parametrize("key", ["protocol", "data", "rows", "command", "config", "version"])
def test_renders_without_a_part(key: str, make_results: Make, tmp_path: Path) -> None:
    results = make_results()
    del results[key]
    assert rendered(results, tmp_path).text


@pytest.mark.parametrize("key", OPTIONAL)
def test_renders_rows_without_a_part(key: str, make_results: Make, tmp_path: Path) -> None:
    results = copy.deepcopy(make_results())
    for row in results["rows"]:
        del row[key]
    assert "leaderboard" in ids(rendered(results, tmp_path))


def test_renders_nothing_at_all(tmp_path: Path) -> None:
    assert ids(rendered({}, tmp_path)) == ["warnings"]


def test_warnings_and_problems_are_shown(
    make_results: Make, make_row: Make, tmp_path: Path
) -> None:
    results = make_results(make_row("simclr", 0.5, warnings=["The space collapses."]))
    results["data"]["problems"] = [{"where": f"{i}.png", "what": "truncated"} for i in range(25)]
    text = " ".join(rendered(results, tmp_path).text)
    assert "The space collapses." in text
    assert "25 items could not be used" in text
    assert "19.png" in text
    assert "20.png" not in text
    assert "and 5 more" in text


def test_configuration_is_yaml_that_loads(make_results: Make, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    config = {"data": "ü: [x]", "train": {"lr": 1e-3}, "path": Path("photos")}
    reader = rendered(make_results(config=config), tmp_path)
    text = next(part for part in reader.text if part.startswith("data:"))
    assert yaml.safe_load(text) == {"data": "ü: [x]", "train": {"lr": 0.001}, "path": "photos"}
