"""Small folders of findings, written as `counterpoint reannotate` writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


def _findings(
    folder: Path,
    texts: Sequence[str],
    labels: Sequence[Any],
    suggested: Sequence[Any],
    *,
    credibility: Sequence[float] | None = None,
    confidence: Sequence[float] | None = None,
    z: Any = None,
    pictures: Path | None = None,
    **columns: Sequence[Any],
) -> Path:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from counterpoint.data.classes import class_name
    from counterpoint.data.findings import EMBEDDINGS, FOUND, SOURCE, source_table

    count = len(texts)
    flagged = [a != b for a, b in zip(labels, suggested, strict=True)]
    trust = [(row + 1) / (count + 1) for row in range(count)]

    def named(label: Any) -> Any:
        if isinstance(label, list):
            return [class_name(one) for one in label]
        return None if label is None else class_name(label)

    found = {
        "row": list(range(count)),
        "label": [named(label) for label in labels],
        "credibility": list(credibility or trust),
        "flagged": flagged,
        "suggested_label": [named(label) for label in suggested],
        "confidence": list(confidence or [0.9] * count),
        "neighbours": [[(row + step) % count for step in (1, 2)] for row in range(count)],
        "reason": ["3 of 5 neighbours are “x”" for _ in range(count)],
    }
    owner = {**columns, "text": list(texts), "label": list(labels)}
    corpus = SimpleNamespace(
        name="mine.csv",
        kind="images" if pictures else "text",
        table=arrow.table(owner),
        label="label",
        content="text",
        folder=pictures,
        truth_column=None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table(found), folder / FOUND)
    parquet.write_table(source_table(corpus), folder / SOURCE)
    if z is not None:
        np.save(folder / EMBEDDINGS, np.asarray(z, dtype=np.float16))
    return folder


@pytest.fixture
def make_findings() -> Callable[..., Path]:
    """``make_findings(folder, texts, labels, suggested, **more)``: what a review needs."""
    return _findings


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Five rows with any number of labels, the first four of them suggestions, worst first."""
    return _findings(
        tmp_path / "several",
        [f"text number {row}" for row in range(5)],
        [["art", "law"], ["law"], [], ["art", "tea"], ["tea"]],
        [["art", "law", "tea"], [], ["art"], ["law", "tea"], ["tea"]],
        id=[f"n{row}" for row in range(5)],
    )


@pytest.fixture
def findings(tmp_path: Path) -> Path:
    """Six rows, the first four of them suggestions, worst first."""
    texts = [f"text number {row}" for row in range(6)]
    return _findings(
        tmp_path / "found",
        texts,
        ["cat", "cat", "dog", "dog", "owl", "owl"],
        ["dog", "owl", "cat", "owl", "owl", "owl"],
        z=np.eye(6),
        id=[f"n{row}" for row in range(6)],
    )
