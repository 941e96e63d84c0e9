"""The comparison page, opened as a reader opens it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("plotly")

from counterpoint.report import compare_page

pytestmark = pytest.mark.browser
Make = Callable[..., dict[str, Any]]
HOSTILE = (
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=\"document.title='owned'\">",
    "\"'`{{ 7 * 7 }}{% raw %}%{x}<a href='javascript:0'>",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "👩🏽‍🔬 & <b>bold</b>",
)


@pytest.fixture
def page(open_page: Callable[..., Any], make_results: Make, tmp_path: Path) -> Any:
    results = make_results()
    for row in results["rows"]:
        del row["curves"]
    compare_page(results, tmp_path / "report.html")
    return open_page(tmp_path / "report.html")


def methods(page: Any) -> list[str]:
    return page.locator("tbody.method tr[data-row] th > bdi").all_inner_texts()


def test_charts_are_drawn(
    open_page: Callable[..., Any], make_results: Make, tmp_path: Path
) -> None:
    compare_page(make_results(), tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    assert page.locator(".plot").count() == 16
    assert page.locator(".plot .main-svg").first.is_visible()
    assert page.evaluate("[...document.querySelectorAll('.plot')].every((p) => p._fullLayout)")


def test_sorts_by_click_and_tells_so(page: Any) -> None:
    assert methods(page) == ["simclr+dcl", "simclr", "moco"]
    heading = page.locator("th", has=page.get_by_role("button", name="time", exact=True))
    heading.get_by_role("button").click()
    assert methods(page) == ["moco", "simclr", "simclr+dcl"]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert page.locator("th[aria-sort]").count() == 1
    heading.get_by_role("button").click()
    assert methods(page) == ["simclr+dcl", "simclr", "moco"]
    assert heading.get_attribute("aria-sort") == "descending"


def test_sorts_by_keyboard(page: Any) -> None:
    page.get_by_role("button", name="method", exact=True).focus()
    page.keyboard.press("Enter")
    assert methods(page) == ["moco", "simclr", "simclr+dcl"]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert methods(page) == ["simclr+dcl", "simclr", "moco"]
    assert page.locator("th[aria-sort]").get_by_role("button").inner_text() == "linear"


def test_missing_values_sort_last_both_ways(
    open_page: Callable[..., Any], make_row: Make, tmp_path: Path
) -> None:
    rows = [make_row("a", 0.5), make_row("b", 0.6, seconds=None), make_row("c", 0.7)]
    rows = [{key: row[key] for key in ("method", "seconds", "probes")} for row in rows]
    compare_page({"rows": rows}, tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    time = page.get_by_role("button", name="time", exact=True)
    time.click()
    assert methods(page) == ["a", "c", "b"]
    time.click()
    assert methods(page) == ["c", "a", "b"]


def test_hover_shows_the_numbers(page: Any) -> None:
    plot = page.locator("#probes .plot")
    plot.scroll_into_view_if_needed()
    plot.locator(".scatterlayer .trace .point").first.hover(force=True)
    page.wait_for_selector("#probes .hoverlayer text", state="attached")
    text = page.locator("#probes .hoverlayer").text_content()
    assert "kNN" in text
    assert "±" in text


def test_theme_follows_the_system_and_the_switch(
    open_page: Callable[..., Any], make_results: Make, tmp_path: Path
) -> None:
    compare_page(make_results(), tmp_path / "report.html")
    page = open_page(tmp_path / "report.html", color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('.plot')._fullLayout.font.color"
    dark = page.evaluate(paper), page.evaluate(ink)
    page.get_by_role("button", name="Switch between").click()
    light = page.evaluate(paper), page.evaluate(ink)
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    page.get_by_role("button", name="Switch between").click()


def test_prints_in_light_on_the_width_of_paper(
    open_page: Callable[..., Any], make_results: Make, tmp_path: Path
) -> None:
    compare_page(make_results(), tmp_path / "report.html")
    page = open_page(
        tmp_path / "report.html", color_scheme="dark", viewport={"width": 680, "height": 900}
    )
    ink = "document.querySelector('.plot')._fullLayout.font.color"
    dark = page.evaluate(ink)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(ink) != dark
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    width = "document.querySelector('.plot')._fullLayout.width"
    assert page.evaluate(width) == page.evaluate("document.querySelector('.plot').clientWidth")
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(ink) == dark


def test_a_phone_scrolls_the_table_not_the_page_and_may_be_turned(
    open_page: Callable[..., Any], make_results: Make, tmp_path: Path
) -> None:
    compare_page(make_results(), tmp_path / "report.html")
    page = open_page(tmp_path / "report.html", viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelector('.scroll').scrollWidth") > 360
    page.set_viewport_size({"width": 740, "height": 360})
    fitted = (
        "[...document.querySelectorAll('.plot')].every("
        "(plot) => Math.abs(plot._fullLayout.width - plot.clientWidth) < 2)"
    )
    for _ in range(50):
        page.wait_for_timeout(100)
        if page.evaluate(fitted):
            break
    assert page.evaluate(fitted)


def test_copies_the_command(page: Any) -> None:
    page.locator("[data-copy]").first.click()
    page.locator("[data-copy]", has_text=re.compile("Copied|Selected")).wait_for()


def test_hostile_names_are_only_text(
    open_page: Callable[..., Any], make_results: Make, make_row: Make, tmp_path: Path
) -> None:
    everything = "".join(HOSTILE)
    rows = [make_row(name, 0.9 - i / 10, warnings=[name]) for i, name in enumerate(HOSTILE)]
    rows += [make_row("moco", 0.2, error=everything), make_row(HOSTILE[0], 0.1, "floor")]
    results = make_results(*rows, command=everything, version=everything, started=everything)
    results["protocol"] = {name: {name: name} for name in HOSTILE}
    results["data"].update(name=everything, problems=[{"where": n, "what": n} for n in HOSTILE])
    results["config"] = {name: [name] for name in HOSTILE}
    compare_page(results, tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    assert page.title() == f"{everything} – compare · counterpoint"
    assert page.evaluate("document.querySelectorAll('img, a[href^=javascript]').length") == 0
    assert methods(page)[: len(HOSTILE)] == list(HOSTILE)
    assert page.locator("pre code").first.text_content() == everything
    legend = page.locator("#training .legendtext").all_text_contents()
    for name, label in zip(HOSTILE, legend, strict=False):
        assert label.rstrip("…") == name[: len(label.rstrip("…"))]


def test_missing_parts_open_without_error(open_page: Callable[..., Any], tmp_path: Path) -> None:
    compare_page({}, tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    assert page.locator("h1").inner_text() == "No method was compared."
