"""The page of a review, used as a reviewer uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("pyarrow")

from counterpoint.apps.review.intake import open_review
from counterpoint.apps.review.server import ReviewServer
from counterpoint.apps.review.store import Store

pytestmark = pytest.mark.browser
HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "👩🏽‍🔬 & <b>bold</b>",
    "nul \0 and bell \a",
    "long " * 200_000,
)


class Review:
    """A served folder and pages on it that let no error and no foreign request pass."""

    def __init__(self, chromium: Any, folder: Path, reviewer: str) -> None:
        self.store: Store = open_review(folder)
        self.server = ReviewServer(self.store, folder, reviewer)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        self.context = chromium.new_context(viewport={"width": 1280, "height": 900})
        self.reviewer = reviewer
        self.faults: list[str] = []

    def page(self, address: str = "") -> Any:
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on(
            "console",
            lambda said: said.type in ("error", "warning") and self.faults.append(said.text),
        )
        page.on(
            "request",
            lambda request: (
                request.url.startswith(self.server.address)
                or self.faults.append(f"request: {request.url}")
            ),
        )
        page.goto(address or self.server.address)
        page.wait_for_selector("#item:not([hidden]), #empty:not([hidden])")
        settle(page)
        return page

    def said(self) -> dict[int, tuple[str, str | None]]:
        found = self.store.decisions(self.reviewer)
        return {d["row"]: (d["action"], d["after"]) for d in found}

    def stop(self) -> None:
        self.context.close()
        self.server.stop()
        self.thread.join(20)
        self.store.close()


@pytest.fixture
def review(chromium: Any) -> Iterator[Callable[..., Review]]:
    running: list[Review] = []

    def started(folder: Path, reviewer: str = "ada") -> Review:
        running.append(Review(chromium, folder, reviewer))
        return running[-1]

    yield started
    for one in running:
        one.stop()
    assert [fault for one in running for fault in one.faults] == []


def until(page: Any, script: str) -> None:
    """Waits until a script is true; the page's own policy forbids the browser to poll it."""
    end = time.monotonic() + 20
    while not page.evaluate(script):
        assert time.monotonic() < end, f"never true: {script}; {page.inner_text('body')}"
        page.wait_for_timeout(10)


def settle(page: Any) -> None:
    until(page, "document.getElementById('main').ariaBusy === 'false'")


def wait(page: Any, row: int) -> None:
    until(page, f"document.getElementById('title').textContent === 'row {row}'")
    settle(page)


def press(page: Any, key: str, row: int | None = None) -> None:
    """Presses a key and waits for the row it leads to; for the end where it is None."""
    page.keyboard.press(key)
    if row is None:
        page.wait_for_selector("#empty:not([hidden])")
        settle(page)
    else:
        wait(page, row)


def test_a_whole_review_by_keyboard(findings: Path, review: Callable[..., Review]) -> None:
    running = review(findings)
    page = running.page()
    wait(page, 0)
    assert page.locator("#given").inner_text() == "cat"
    assert page.locator("#suggested").inner_text() == "dog"
    assert page.locator("#near li").count() == 2
    press(page, "a", 1)
    press(page, "k", 2)
    page.keyboard.press("o")
    page.keyboard.type("OW")
    assert page.locator("#matches [aria-selected=true]").inner_text().startswith("owl")
    press(page, "Enter", 3)
    press(page, "s")
    assert "Everything here is decided" in page.locator("#empty-title").inner_text()
    assert "1 row skipped" in page.locator("#empty-hint").inner_text()
    assert page.locator("#counts").inner_text() == "3 of 4 decided · 1 skipped"
    assert running.said() == {
        0: ("accept", "dog"),
        1: ("keep", "cat"),
        2: ("other", "owl"),
        3: ("skip", None),
    }
    page.keyboard.press("u")
    press(page, "u", 2)
    assert running.said().keys() == {0, 1}
    assert page.locator("#counts").inner_text() == "2 of 4 decided"
    press(page, "a", 3)
    assert running.said()[2] == ("accept", "cat")


def test_a_whole_review_of_several_labels_by_keyboard(
    several: Path, review: Callable[..., Review], tmp_path: Path
) -> None:
    running = review(several)
    page = running.page()
    wait(page, 0)
    assert page.locator("#given .one").all_inner_texts() == ["art", "law"]
    assert page.locator("#suggested .better").all_inner_texts() == ["tea"]
    changes = page.locator("#queue .change").all_inner_texts()
    assert changes == ["+ tea", "− law", "+ art", "+ law, − art"]
    assert not page.locator("#rerank").is_visible()
    press(page, "a", 1)
    assert page.locator("#given .given").all_inner_texts() == ["law"]
    assert page.locator("#suggested").inner_text() == "no label"
    press(page, "k", 2)
    page.keyboard.press("o")
    assert page.locator("#chosen").inner_text() == "art"
    assert page.locator("#matches [aria-selected=true]").inner_text().startswith("art")
    page.keyboard.press("Enter")
    assert page.locator("#chosen").inner_text() == "no label"
    page.keyboard.type("EA")
    page.keyboard.press("Enter")
    page.keyboard.type("la")
    page.keyboard.press("Enter")
    assert page.locator("#chosen .one").all_inner_texts() == ["law", "tea"]
    assert page.locator("#matches [aria-checked=true]").count() == 2
    press(page, "Control+Enter", 3)
    press(page, "s")
    assert "1 row skipped" in page.locator("#empty-hint").inner_text()
    assert running.said() == {
        0: ("accept", ["art", "law", "tea"]),
        1: ("keep", ["law"]),
        2: ("other", ["law", "tea"]),
        3: ("skip", None),
    }
    page.keyboard.press("u")
    press(page, "u", 2)
    assert running.said().keys() == {0, 1}
    page.keyboard.press("o")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    press(page, "Control+Enter", 3)
    assert running.said()[2] == ("keep", [])
    page.locator("[name=suggested]").select_option("law")
    wait(page, 3)
    assert page.locator("#queue li").count() == 1
    page.locator("[name=status]").select_option("decided")
    page.locator("[name=suggested]").select_option("tea")
    wait(page, 0)
    assert "Decided: “art, law, tea”" in page.locator("#standing").inner_text()


def test_several_labels_by_mouse(several: Path, review: Callable[..., Review]) -> None:
    running = review(several)
    page = running.page()
    page.get_by_role("button", name="Edit").click()
    page.locator("#matches li", has_text="tea").click()
    page.locator("#matches li", has_text="law").click()
    page.get_by_role("button", name="Decide").click()
    wait(page, 1)
    assert running.said() == {0: ("other", ["art"])}


def test_moves_without_deciding(findings: Path, review: Callable[..., Review]) -> None:
    running = review(findings)
    page = running.page()
    press(page, "n", 1)
    press(page, "ArrowRight", 2)
    press(page, "p", 1)
    press(page, "ArrowLeft", 0)
    page.locator("#queue button").nth(3).click()
    wait(page, 3)
    assert running.said() == {}


def test_type_ahead_by_arrows_and_escape(findings: Path, review: Callable[..., Review]) -> None:
    running = review(findings)
    page = running.page()
    page.keyboard.press("o")
    chosen = page.locator("#matches [aria-selected=true]")
    assert page.locator("#matches li").count() == 3
    first = chosen.inner_text()
    page.keyboard.press("ArrowDown")
    assert chosen.inner_text() != first
    page.keyboard.press("ArrowUp")
    assert chosen.inner_text() == first
    page.keyboard.type("zzz")
    assert "No label" in page.locator("#matches").inner_text()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert running.said() == {}
    page.keyboard.press("o")
    page.keyboard.type("cat")
    press(page, "Enter", 1)
    assert running.said() == {0: ("keep", "cat")}


def test_help_opens_and_closes_and_keys_rest_meanwhile(
    findings: Path, review: Callable[..., Review]
) -> None:
    running = review(findings)
    page = running.page()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("Control+a")
    page.locator("[name=least]").focus()
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    press(page, "n", 1)
    assert running.said() == {}


def test_hostile_texts_are_shown_as_text(
    make_findings: Any, tmp_path: Path, review: Callable[..., Review]
) -> None:
    count = len(HOSTILE)
    folder = make_findings(
        tmp_path / "f",
        HOSTILE,
        ["<script>document.title='owned'</script>"] * count,
        ["\u202e<img src=x onerror=\"document.title='owned'\">"] * count,
        note=["</p><script>document.title='owned'</script>"] * count,
    )
    running = review(folder, "<b>ada</b>")
    page = running.page()
    for row, text in enumerate(HOSTILE[:4]):
        wait(page, row)
        assert page.locator("#content .text").text_content() == text
        page.keyboard.press("n")
    wait(page, 4)
    assert page.locator("#content .text").text_content() == "nul \u2400 and bell \u2407"
    press(page, "n", 5)
    assert page.locator("script").count() == 1
    assert page.locator("#item img").count() == 0
    assert page.locator("#reviewer").inner_text() == "<b>ada</b>"
    shown = page.locator("#content .text")
    assert len(shown.text_content()) == 4000
    page.get_by_role("button", name="Show all 1,000,000 characters").click()
    until(page, "document.querySelector('#content .text').textContent.length === 1e6")
    assert "owned" not in page.title()
    press(page, "a", 0)
    assert running.said()[5][0] == "accept"


def test_filters_narrow_the_queue_and_stay_on_reload(
    findings: Path, review: Callable[..., Review]
) -> None:
    running = review(findings)
    page = running.page()
    page.locator("[name=given]").select_option("dog")
    wait(page, 2)
    assert page.locator("#queue li").count() == 2
    assert page.locator("#counts").inner_text() == "0 of 2 decided"
    page.locator("[name=suggested]").select_option("owl")
    wait(page, 3)
    page.reload()
    wait(page, 3)
    page.locator("#title").click()
    press(page, "k")
    page.get_by_role("button", name="Clear").click()
    wait(page, 0)
    page.locator("[name=status]").select_option("decided")
    wait(page, 3)
    assert "Kept “dog”" in page.locator("#standing").inner_text()
    page.locator("[name=scope]").select_option("all")
    page.locator("[name=status]").select_option("open")
    until(page, "document.querySelectorAll('#queue li').length === 5")
    page.locator("[name=kind]").select_option("agrees")
    wait(page, 4)
    assert page.locator("#suggested").inner_text() == "none"
    assert page.locator("[data-action=accept]").is_disabled()


def test_a_second_tab_goes_on_where_it_was(findings: Path, review: Callable[..., Review]) -> None:
    running = review(findings)
    first = running.page()
    press(first, "a", 1)
    second = running.page()
    wait(second, 1)
    press(second, "k", 2)
    running.faults.clear()
    first.keyboard.press("a")
    until(first, "document.getElementById('notice').textContent.includes('meanwhile')")
    assert "409" in running.faults.pop()
    assert running.said() == {0: ("accept", "dog"), 1: ("keep", "cat")}
    assert "Kept “cat”" in first.locator("#standing").inner_text()
    first.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait(first, 2)


def test_a_restart_goes_on_where_it_was(findings: Path, review: Callable[..., Review]) -> None:
    before = review(findings)
    page = before.page()
    press(page, "a", 1)
    press(page, "s", 2)
    before.server.stop()
    before.thread.join(20)
    page.keyboard.press("k")
    page.wait_for_selector("#notice:not([hidden])")
    assert "no decision is lost" in page.locator("#notice").inner_text()
    before.faults.clear()
    after = review(findings)
    again = after.page()
    wait(again, 2)
    assert again.locator("#counts").inner_text() == "1 of 4 decided · 1 skipped"
    press(again, "u", 1)
    other = review(findings, "bob").page()
    wait(other, 0)


def test_a_wrong_token_shows_nothing(findings: Path, review: Callable[..., Review]) -> None:
    running = review(findings)
    page = running.context.new_page()
    host = running.server.address.split("/")[2]
    answer = page.goto(f"http://{host}/{'x' * 32}/")
    assert answer.status == 403
    assert "text number" not in page.content()


def test_rerank_and_export(findings: Path, review: Callable[..., Review], tmp_path: Path) -> None:
    running = review(findings)
    page = running.page()
    press(page, "k", 1)
    page.keyboard.press("r")
    until(page, "document.getElementById('said').textContent.startsWith('Learnt')")
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Decisions, CSV").click()
    waiting.value.save_as(tmp_path / "d.csv")
    assert ",ada,keep,cat,dog,cat," in "," + (tmp_path / "d.csv").read_text().split("\n")[1][1:]


def test_pictures_are_shown_and_missing_ones_named(
    make_findings: Any, tmp_path: Path, review: Callable[..., Review]
) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name in ("a.png", "c.png"):
        image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / name)
    folder = make_findings(
        tmp_path / "f", ["a.png", "gone.png", "c.png"], ["x"] * 3, ["y"] * 3, pictures=tmp_path
    )
    running = review(folder)
    page = running.page()
    until(page, "document.querySelector('#content img').naturalWidth === 16")
    assert page.locator("#content img").get_attribute("alt") == "a.png"
    press(page, "a", 1)
    page.wait_for_selector("#content .missing")
    assert "gone.png" in page.locator("#content .missing").inner_text()
    assert all("400" in fault for fault in running.faults)
    running.faults.clear()


def test_dark_and_narrow_and_labelled(findings: Path, review: Callable[..., Review]) -> None:
    page = review(findings).page()
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) != light
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= 380")
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, input, img, progress')].filter((e) => "
        "!e.hidden && !e.textContent.trim() && !e.labels?.length && !e.ariaLabel "
        "&& !e.hasAttribute('alt') && !e.hasAttribute('aria-labelledby')).length"
    )
    assert nameless == 0
