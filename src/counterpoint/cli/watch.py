"""Draws the progress of long jobs on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from counterpoint.cli.terminal import err
from counterpoint.progress import OnProgress, Progress

SHORT_SECONDS = 2.0
QUIET_SECONDS = 20.0


@contextmanager
def watching(console: Console = err) -> Iterator[OnProgress]:
    """Yields what to pass as ``on_progress``: bars in a terminal, occasional lines elsewhere."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(event: Progress) -> None:
            if event.stage not in tasks:
                tasks[event.stage] = bars.add_task(event.stage, total=event.total, note="")
            bars.update(
                tasks[event.stage], completed=event.done, total=event.total, note=event.note
            )

        yield draw


def _lines(console: Console) -> OnProgress:
    """Writes a line when a stage begins, now and then, and at its end; none in short jobs."""
    began = time.monotonic()
    last: dict[str, float] = {}

    def write(event: Progress) -> None:
        now = time.monotonic()
        ended = event.done >= event.total
        due = event.stage not in last or ended or now - last[event.stage] >= QUIET_SECONDS
        if due and now - began >= SHORT_SECONDS:
            note = f"  {event.note}" if event.note else ""
            line = f"{event.stage}: {event.done:g}/{event.total:g}{note}"
            console.print(line, soft_wrap=True, markup=False)
            last[event.stage] = float("inf") if ended else now

    return write
