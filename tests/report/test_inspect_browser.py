"""The page of a space, opened as a reader opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("plotly")

from counterpoint.report import inspect_page

pytestmark = pytest.mark.browser
Make = Callable[..., dict[str, Any]]
HOSTILE = (
    "<script>document.title='owned'</script></script><img src=x onerror=\"document.title='owned'\">"
    "\"'%{x} \u202eright to left \u05e9\u05dc\u05d5\u05dd 👩🏽‍🔬 <a href='javascript:0'>go</a>"
)


@pytest.fixture
def page(open_page: Callable[..., Any], make_space: Make, tmp_path: Path) -> Any:
    inspect_page(make_space(), tmp_path / "space.html")
    return open_page(tmp_path / "space.html")


def hover(page: Any, place: int) -> Any:
    page.evaluate("document.querySelector('#map .plot').scrollIntoView({behavior: 'instant'})")
    page.wait_for_timeout(100)
    box = page.locator("#map .scatterlayer .point").nth(place).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    tip = page.locator(".tip")
    tip.wait_for(state="visible")
    return tip


def test_hover_on_the_map_shows_text_or_picture(page: Any) -> None:
    tip = hover(page, 0)
    assert tip.inner_text().split() == ["cat", "the", "text", "of", "0", "0.png"]
    assert tip.locator("img").count() == 0
    page.mouse.move(1, 1)
    tip.wait_for(state="hidden")
    tip = hover(page, 3)
    assert tip.inner_text().split() == ["dog", "3.png"]
    assert tip.locator("img").evaluate("(image) => image.complete && image.naturalWidth") == 1


def test_choosing_a_class_brings_it_forward(page: Any) -> None:
    opacity = "document.querySelector('#map .plot').data.map((t) => t.marker.opacity)"
    dog = page.get_by_role("button", name="dog")
    dog.press("Enter")
    assert page.evaluate(opacity) == [0.08, 0.85, 0.08]
    assert dog.get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Switch between").click()
    assert page.evaluate(opacity) == [0.08, 0.85, 0.08]
    dog.press("Enter")
    assert len(set(page.evaluate(opacity))) == 1


def test_hostile_texts_are_only_text(
    open_page: Callable[..., Any], make_space: Make, tmp_path: Path
) -> None:
    space = make_space(name=HOSTILE, classes={"0": HOSTILE, "1": HOSTILE}, command=HOSTILE)
    space["items"] = {
        str(row): {"name": HOSTILE, "label": row // 3, "text": HOSTILE} for row in range(6)
    }
    space["reasons"] = {"alignment": HOSTILE}
    inspect_page(space, tmp_path / "space.html")
    page = open_page(tmp_path / "space.html")
    tip = hover(page, 0)
    assert tip.locator("p").text_content() == HOSTILE
    assert tip.locator("b").text_content() == HOSTILE
    assert page.title() == f"{HOSTILE} – inspect · counterpoint"
    assert page.evaluate("document.querySelectorAll('img, a[href^=javascript]').length") == 0
    assert page.locator(".sample p").first.text_content() == HOSTILE


def test_a_phone_does_not_scroll_sideways_and_the_map_lets_it_scroll(
    open_page: Callable[..., Any], make_space: Make, tmp_path: Path
) -> None:
    inspect_page(make_space(), tmp_path / "space.html")
    page = open_page(
        tmp_path / "space.html", viewport={"width": 360, "height": 740}, has_touch=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelector('#map .plot')._fullLayout.dragmode") is False


def test_missing_parts_open_without_error(open_page: Callable[..., Any], tmp_path: Path) -> None:
    inspect_page({}, tmp_path / "space.html")
    page = open_page(tmp_path / "space.html")
    assert page.locator("h1").inner_text() == "An embedding space."
