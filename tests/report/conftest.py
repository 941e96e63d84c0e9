"""Synthetic results, and pages that let no console error or request pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SIZES = [20, 50, 200, 1000]


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file as a page; at the end, no console error and no request may have happened.

    Keyword arguments go to the browser's ``new_page`` (``viewport``, ``color_scheme``, ...).
    """
    pages, faults = [], []

    def opened(path: Path, **options: Any) -> Any:
        page = chromium.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        page.set_default_timeout(20_000)
        pages.append(page)
        address = path.as_uri()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on(
            "console",
            lambda said: (
                said.type in ("error", "warning") and faults.append(f"console: {said.text}")
            ),
        )
        page.on(
            "request",
            lambda request: (
                request.url.split("#")[0] == address
                or request.url.startswith(("data:", "blob:"))
                or faults.append(f"request: {request.url}")
            ),
        )
        page.on("dialog", lambda dialog: (faults.append("a dialog opened"), dialog.dismiss()))
        page.goto(address)
        return page

    yield opened
    for page in pages:
        page.close()
    assert faults == []


def _curve(crossing: int | None) -> dict[str, Any]:
    """A two-regimes curve."""
    return {
        "m": SIZES,
        "naive_bayes": {"mean": [0.5, 0.4, 0.35, 0.34], "std": [0.05, 0.03, 0.01, 0.01]},
        "logistic": {"mean": [0.6, 0.45, 0.34, 0.25], "std": [0.05, 0.03, 0.01, 0.01]},
        "crossing": crossing,
    }


def _histogram() -> dict[str, Any]:
    """A score histogram whose two hills share a tenth of their mass."""
    return {
        "edges": [-1.0, -0.5, 0.0, 0.5, 1.0],
        "positive": [0, 0, 10, 90],
        "negative": [0, 300, 700, 0],
        "positive_mean": 0.7,
        "negative_mean": 0.1,
        "overlap": 0.1,
        "sampling": "all",
    }


def _course() -> list[dict[str, Any]]:
    """Three points of a run whose positives draw together."""
    kind = {"negative": [-0.4, -0.1, 0.0, 0.1, 0.4], "hardest": [0.2, 0.6, 0.9]}
    return [
        {
            "step": step,
            "alignment": 0.5 - step / 1000,
            "uniformity": -2.0 - step / 100,
            "temperature": 0.2,
            "scores": {
                name: {**kind, "positive": [v / 10 + step / 1000 for v in range(5)], "pull": 0.8}
                for name in ("plain", "extrapolation", "interpolation", "both")
            },
        }
        for step in (24, 49, 74)
    ]


def _row(method: str, knn: float, role: str = "method", **more: Any) -> dict[str, Any]:
    """A complete row whose numbers follow from its kNN accuracy."""
    return {
        "method": method,
        "role": role,
        "probes": {"knn": knn, "linear": knn + 0.05, "naive_bayes": knn - 0.05},
        "geometry": {
            "alignment": 1 - knn,
            "uniformity": -3 * knn,
            "tolerance": knn / 2,
            "effective_rank": 40 * knn,
        },
        "loss": 2 - knn,
        "seconds": 10 + 10 * knn,
        "peak_mb": 500 + 100 * knn,
        "samples_per_second": 1000 - 100 * knn,
        "history": {"step": list(range(600)), "loss": [5 - i / 200 for i in range(600)]},
        "course": _course(),
        "curves": {"two_regimes": _curve(200), "scores_of_views": _histogram()},
        "warnings": [],
        **more,
    }


def _results(*rows: dict[str, Any], test: int = 400, **more: Any) -> dict[str, Any]:
    """Complete results with the given rows, or with a usual set of them."""
    usual = (
        _row("untrained", 0.30, "floor"),
        _row("pixels", 0.40, "floor"),
        _row("simclr", 0.70),
        _row("simclr", 0.71, label="simclr+dcl"),
        _row("moco", 0.60),
        _row("supcon", 0.90, "ceiling"),
    )
    return {
        "protocol": {"name": "standard", "version": 1, "knn": {"neighbours": 20}},
        "data": {
            "name": "digits",
            "modality": "images",
            "train": 1397,
            "test": test,
            "classes": 10,
            "channels": 1,
            "size": 8,
            "held_out": "every fifth sample",
            "problems": [],
        },
        "rows": list(rows or usual),
        "command": "counterpoint compare --data digits",
        "config": {"data": "digits", "seed": 0},
        "version": "0.1.0",
        "started": "2026-01-02T03:04:05+00:00",
        **more,
    }


def _space(**more: Any) -> dict[str, Any]:
    pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNg"
    pixel += "AAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    return {
        "name": "three",
        "samples": 6,
        "used": 6,
        "dimension": 4,
        "classes": {"0": "cat", "1": "dog"},
        "geometry": {
            "alignment": 0.25,
            "uniformity": -2.5,
            "tolerance": 0.75,
            "effective_rank": 3.25,
        },
        "scores": {"of_views": _histogram(), "of_labels": _histogram()},
        "hardness": {
            "temperature": 0.2,
            "fractions": [0.01, 0.1, 1.0],
            "kinds": {
                name: {"pull": 0.9, "push": [0.3, 0.6, 1.0]}
                for name in ("plain", "extrapolation", "interpolation", "both")
            },
        },
        "course": _course(),
        "spectrum": [0.5, 0.3, 0.2, 0.0],
        "map": {
            "method": "PCA",
            "settings": "the two directions of largest variance",
            "rows": list(range(6)),
            "x": [0.0, 1.0, 2.0, 0.0, 1.0, 2.0],
            "y": [0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
        },
        "neighbours": {
            "k": 2,
            "anchors": [{"row": 0, "rows": [1, 3], "similarities": [0.9, 0.8]}],
        },
        "confusion": {
            "k": 2,
            "purity": 0.625,
            "chance": 0.4,
            "classes": [0, 1],
            "matrix": [[0.75, 0.25], [0.5, 0.5]],
        },
        "items": {
            str(row): {
                "name": f"{row}.png",
                "label": None if row == 5 else row // 3,
                **({"picture": pixel} if row % 2 else {"text": f"the text of {row}"}),
            }
            for row in range(6)
        },
        "reasons": {},
        "protocol": {"name": "standard", "version": "1"},
        **more,
    }


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """``make_row(method, knn, role="method", **more)``: one synthetic row of results."""
    return _row


@pytest.fixture
def make_results() -> Callable[..., dict[str, Any]]:
    """``make_results(*rows, test=400, **more)``: synthetic results of a comparison."""
    return _results


@pytest.fixture
def make_space() -> Callable[..., dict[str, Any]]:
    """``make_space(**more)``: a synthetic description of a space, as of `inspect`."""
    return _space
