"""A comparison together with its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterpoint.apps.compare import Comparison
from counterpoint.apps.compare import compare as run_comparison
from counterpoint.report.compare import compare_page

PAGE = "report.html"


class Leaderboard(Comparison):
    """What `compare` returns: the results, the folder they are in, and their page."""

    def to_html(self, path: str | Path | None = None) -> Path:
        """Writes the report as one self-contained page; ``report.html`` of the run by default."""
        page = Path(path) if path is not None else self.directory / PAGE
        compare_page(self.results, page)
        return page


def compare(*args: Any, **kwargs: Any) -> Leaderboard:
    """Trains several methods on one data set, evaluates them alike and writes ``report.html``.

    Arguments and errors are those of `counterpoint.apps.compare.compare`.
    """
    done = run_comparison(*args, **kwargs)
    board = Leaderboard(done.results, done.directory, done.interrupted)
    board.to_html()
    return board
