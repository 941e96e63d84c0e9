from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
go = pytest.importorskip("plotly.graph_objects")

from counterpoint.report import inspect_page  # noqa: E402

Make = Callable[..., dict[str, Any]]


def rendered(result: dict[str, Any], folder: Path) -> str:
    inspect_page(result, folder / "space.html")
    return (folder / "space.html").read_text(encoding="utf-8")


def ids(html: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', html)


def figures(html: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json" class="figure">(.*?)</script>', html)
    return [json.loads(text) for text in found]


def test_holds_every_part_once(make_space: Make, tmp_path: Path) -> None:
    html = rendered(make_space(command="counterpoint inspect m"), tmp_path)
    assert ids(html) == [
        "map",
        "neighbours",
        "scores",
        "hardness",
        "course",
        "confusion",
        "spectrum",
        "protocol",
        "reproduce",
    ]


def test_the_headline_gives_purity_chance_and_rank(make_space: Make, tmp_path: Path) -> None:
    html = rendered(make_space(), tmp_path)
    headline = re.sub(r"<.*?>", "", re.search(r"<h1.*?</h1>", html, re.S)[0])
    assert headline == (
        "62.5\u202f% of nearest neighbours share the anchor&#39;s label; "
        "by chance 40.0\u202f% would; the embeddings use 3.2 of 4 directions (effective rank)."
    )
    unlabelled = rendered(make_space(confusion=None), tmp_path)
    assert "The embeddings use 3.2 of 4 directions (effective rank)." in unlabelled


def test_figures_fit_plotlys_schema(make_space: Make, tmp_path: Path) -> None:
    for figure in figures(rendered(make_space(), tmp_path)):
        go.Figure(json.loads(re.sub(r'"--[a-z0-9-]+"', '"#123456"', json.dumps(figure))))


def test_the_map_has_a_trace_a_class_and_one_without_label(
    make_space: Make, tmp_path: Path
) -> None:
    html = rendered(make_space(), tmp_path)
    traces = figures(html)[0]["data"]
    assert [(t["name"], t["customdata"]) for t in traces] == [
        ("cat", ["0", "1", "2"]),
        ("dog", ["3", "4"]),
        ("no label", ["5"]),
    ]
    assert len({t["marker"]["color"] for t in traces}) == 3
    assert html.count("data-label=") == 3


def test_many_classes_never_share_both_colour_and_symbol(make_space: Make, tmp_path: Path) -> None:
    many = {str(i): f"class {i}" for i in range(60)}
    items = {str(i): {"name": str(i), "label": i} for i in range(60)}
    line = [float(i) for i in range(60)]
    chart = {"method": "PCA", "rows": list(range(60)), "x": line, "y": line}
    html = rendered(make_space(classes=many, items=items, map=chart, confusion=None), tmp_path)
    traces = figures(html)[0]["data"]
    assert len({(t["marker"]["color"], t["marker"]["symbol"]) for t in traces}) == 60


def test_neighbours_of_another_label_are_marked(make_space: Make, tmp_path: Path) -> None:
    html = rendered(make_space(), tmp_path)
    assert html.count('<div class="sample differs"') == 1
    assert html.count('class="sample anchor"') == 1


def test_confusion_shows_the_least_pure_classes(make_space: Make, tmp_path: Path) -> None:
    html = rendered(make_space(), tmp_path)
    heat = next(f for f in figures(html) if f["data"][0]["type"] == "heatmap")["data"][0]
    assert heat["z"] == [[75, 25], [50, 50]]
    assert re.search(r"dog</bdi> lies among <bdi>cat</bdi></span> <b>50.0", html)
    count = 40
    matrix = [
        [1 - i / 100 if i == j else i / 100 / (count - 1) for j in range(count)]
        for i in range(count)
    ]
    confusion = {"k": 2, "purity": 0.8, "classes": list(range(count)), "matrix": matrix}
    html = rendered(make_space(confusion=confusion, classes={}), tmp_path)
    heat = next(f for f in figures(html) if f["data"][0]["type"] == "heatmap")
    assert heat["layout"]["yaxis"]["ticktext"] == [str(i) for i in range(10, 40)]
    assert "10 more are not" in html


def test_directions_that_carry_nothing_are_counted(make_space: Make, tmp_path: Path) -> None:
    assert "1 of 4 directions carry nothing." in rendered(make_space(), tmp_path)


def test_missing_measures_say_why(make_space: Make, tmp_path: Path) -> None:
    space = make_space(reasons={"alignment": "no views were given"})
    space["geometry"]["alignment"] = None
    assert "Alignment is missing: no views were given." in rendered(space, tmp_path)


@pytest.mark.parametrize(
    "key",
    [
        "name",
        "classes",
        "geometry",
        "scores",
        "hardness",
        "course",
        "spectrum",
        "map",
        "neighbours",
        "confusion",
        "items",
    ],
)
def test_renders_without_a_part(key: str, make_space: Make, tmp_path: Path) -> None:
    space = make_space()
    del space[key]
    assert ids(rendered(space, tmp_path))


def test_renders_nothing_at_all(tmp_path: Path) -> None:
    assert ids(rendered({}, tmp_path)) == []


def test_the_course_shows_scores_with_and_without_transformation(
    make_space: Make, tmp_path: Path
) -> None:
    html = rendered(make_space(), tmp_path)
    labels = re.findall(r'aria-label="([^"]*by step[^"]*)"', html)
    assert len(labels) == 3, labels
    medians = [
        trace["y"]
        for figure in figures(html)
        for trace in figure["data"]
        if trace.get("name") == "positive pairs" and trace.get("x") == [24, 49, 74]
    ]
    assert medians == [[0.2 + step / 1000 for step in (24, 49, 74)]] * 2
    assert "Temperature 0.20. Pull on the positive (1 − p): 0.90" in html


def test_a_course_with_holes_renders(make_space: Make, tmp_path: Path) -> None:
    course = [{"step": 1}, {"step": 2, "scores": {"plain": {"pull": None}}}]
    assert "course" in ids(rendered(make_space(course=course, hardness={}), tmp_path))
