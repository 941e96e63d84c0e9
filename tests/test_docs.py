"""The code in the documentation runs, and the site builds without warnings."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from counterpoint.apps.card import describe
from counterpoint.objectives.records import records, relations_of
from counterpoint.objectives.registry import find

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<skip><!-- no-run: (?P<reason>.+?) -->\s*)?"
    r"^```python(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: the file it stands for, or code to run."""

    title: str | None
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["title"], found["code"], text[: found.start("code")].count("\n"))
        for found in BLOCK.finditer(text)
        if not found["skip"]
    ]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: Any) -> Iterator[Any]:
    """Lets a page add modules to rooms of the package for as long as its test runs."""
    known = set(sys.modules)

    from counterpoint import methods

    found = methods._files()

    def add(block: Block) -> None:
        path = Path(str(block.title)).relative_to("src")
        file = tmp_path / "package" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.code, encoding="utf-8")
        room = importlib.import_module(".".join(path.parent.parts))
        monkeypatch.setattr(room, "__path__", [*room.__path__, str(file.parent)])
        if "methods" in path.parts:
            found[path.stem.replace("_", "-")] = f"{path.parent.name}.{path.stem}"
            monkeypatch.setattr(methods, "_files", lambda: found)

    yield add
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_code_runs(page: Path, package: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(page):
        if block.title and block.title.startswith("src/"):
            package(block)
            continue
        code = compile("\n" * block.line + block.code, str(page), "exec")
        exec(code, names)
        for name in [name for name in names if name.startswith("test_")]:
            names.pop(name)()


def test_every_extension_page_adds_a_file_and_tests_it() -> None:
    for page in (ROOT / "docs" / "extend").glob("[!i]*.md"):
        titles = [block.title or "" for block in blocks(page)]
        assert any(title.startswith("src/counterpoint/") for title in titles), page
        assert any(title.startswith("tests/") for title in titles), page


def test_blocks_that_are_not_run_say_why() -> None:
    for page in PAGES:
        for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
            assert found["skip"] is None or len(found["reason"]) > 10


def test_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "systems" / "index.html").is_file()
    overview = (tmp_path / "site" / "objectives" / "index.html").read_text(encoding="utf-8")
    for name in records():
        page = (tmp_path / "site" / "objectives" / name / "index.html").read_text(encoding="utf-8")
        assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in page
        assert all(f'id="{part}"' in page for part in ("example", "inputs-and-settings"))
        assert ('id="relations"' in page) == any(relations_of(name))
        assert f'href="{name}/"' in overview
    assert "cdn" not in page
    claims = (tmp_path / "site" / "claims" / "index.html").read_text(encoding="utf-8")
    results = [json.loads(path.read_text()) for path in (ROOT / "claims" / "results").iterdir()]
    assert claims.count("<svg role=") == len(results)
    assert claims.count("<circle") == sum(r["seeds"] * len(r["parts"]) for r in results)


def test_plot_of_a_claim_shows_the_claimed_direction_on_the_right(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    plot = importlib.import_module("claim_plots").plot
    part = {
        "id": "a",
        "claim": "a < b",
        "direction": "lower",
        "verdict": "not shown",
        "effect": -1.0,
        "ci95": [-4.0, 2.0],
        "margin": 0.0,
        "values": [{"method": 1.0, "baseline": b} for b in (0.0, 2.0, 4.0)],
    }
    drawn = plot({"id": "x", "parts": [part]})
    left, inner, right = (float(x) for x in re.findall(r'cx="([\d.]+)"', drawn))
    (zero,) = (float(x) for x in re.findall(r'class="zero" d="M([\d.]+)', drawn))
    assert left < zero < inner < right
    assert "<title>a &lt; b</title>" in drawn
    assert "? -1 (-4 to 2)" in drawn


@pytest.mark.parametrize("name", records())
def test_docstring_of_an_objective_is_complete(name: str) -> None:
    part = describe(find(name).function)
    assert [a["name"] for a in part["arguments"] if not a["about"]] == []
    assert {"Returns", "Raises", "Source"} <= set(part["sections"])
