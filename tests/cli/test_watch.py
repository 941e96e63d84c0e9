from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from counterpoint.cli import watch
from counterpoint.progress import Progress


def lines(monkeypatch: Any, seconds: float) -> list[str]:
    """What is written where there is no terminal, with so many seconds between two events."""
    clock = iter(range(100))
    monkeypatch.setattr(watch.time, "monotonic", lambda: next(clock) * seconds)
    text = io.StringIO()
    with watch.watching(Console(file=text)) as on_progress:
        for done in range(31):
            on_progress(Progress("train [simclr]", done, 30, f"loss {done}"))
    return text.getvalue().splitlines()


def test_lines_are_occasional_where_there_is_no_terminal(monkeypatch: Any) -> None:
    found = lines(monkeypatch, 3.0)
    assert found[0] == "train [simclr]: 0/30  loss 0"
    assert found[-1] == "train [simclr]: 30/30  loss 30"
    assert 4 <= len(found) <= 8


def test_short_jobs_are_silent(monkeypatch: Any) -> None:
    assert lines(monkeypatch, 0.05) == []


def test_bars_show_stage_and_note_in_a_terminal() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    with watch.watching(console) as on_progress:
        on_progress(Progress("probe", 0, 2))
        on_progress(Progress("train", 2, 5, "loss 0.5"))
    shown = text.getvalue()
    assert "probe" in shown
    assert "2/5" in shown
    assert "loss 0.5" in shown
