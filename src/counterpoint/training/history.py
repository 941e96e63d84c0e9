"""What a run leaves behind: its losses, speed, memory and warnings."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from counterpoint.files import write_text


@dataclass
class History:
    """The course of a run.

    Attributes:
        loss: loss of each step.
        parts: further named values of each step that the method gave.
        steps: steps done.
        epochs: passes over the data, in fractions.
        seconds: time of all steps together, without setting up.
        samples_per_second: samples over ``seconds``.
        peak_mb: largest resident memory while training (of the device on CUDA), in MB.
        warnings: what the monitor found, in words.
        monitor: the last figures of `counterpoint.training.monitor.Monitor`.
        course: points of `counterpoint.training.course.course_point`, at most some twenty.
    """

    loss: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    steps: int = 0
    epochs: float = 0.0
    seconds: float = 0.0
    samples_per_second: float = 0.0
    peak_mb: float = 0.0
    warnings: list[str] = field(default_factory=list)
    monitor: dict[str, float] = field(default_factory=dict)
    course: list[dict[str, Any]] = field(default_factory=list)

    @property
    def final_loss(self) -> float:
        """Mean loss of the last tenth of the steps."""
        tail = self.loss[-max(1, len(self.loss) // 10) :]
        return sum(tail) / len(tail)

    def summary(self) -> dict[str, Any]:
        """Plain values without the curves."""
        values = asdict(self)
        del values["loss"], values["parts"]
        return values


class MetricsFile:
    """``metrics.csv``: one row a step, appended as the run goes.

    Args:
        path: the file.
        steps_done: rows of later steps, left by a killed run, are removed.
    """

    def __init__(self, path: Path, steps_done: int = 0) -> None:
        self.path = path
        kept = [row for row in self.rows(path) if int(row["step"]) < steps_done]
        self._columns: list[str] = []
        path.unlink(missing_ok=True)
        if kept:
            self.append(kept)

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Adds rows, which all have the same columns."""
        fresh = not self._columns
        if fresh:
            self._columns = list(rows[0])
        with self.path.open("w" if fresh else "a", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            if fresh:
                writer.writeheader()
            writer.writerows(rows)

    @staticmethod
    def rows(path: Path) -> list[dict[str, str]]:
        """The complete rows of a file; none if it is missing."""
        if not path.is_file():
            return []
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if all(v is not None for v in row.values())]


_NOT_PARTS = ("step", "epoch", "lr", "loss")


def save_history(out: Path, history: History) -> None:
    """Writes ``history.json``; the curves are in ``metrics.csv`` already."""
    write_text(out / "history.json", json.dumps(history.summary(), indent=2) + "\n")


def load_history(out: Path) -> History:
    """The history of a finished run in ``out``."""
    summary = json.loads((out / "history.json").read_text())
    rows = MetricsFile.rows(out / "metrics.csv")
    names = [name for name in (rows[0] if rows else {}) if name not in _NOT_PARTS]
    return History(
        loss=[float(row["loss"]) for row in rows],
        parts={name: [float(row[name]) for row in rows] for name in names},
        **summary,
    )
