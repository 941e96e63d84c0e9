from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from counterpoint.apps.review import queries
from counterpoint.apps.review.intake import open_review
from counterpoint.apps.review.queries import Filter
from counterpoint.apps.review.rerank import rerank
from counterpoint.errors import DataError, SettingError


@pytest.fixture
def clusters(make_findings: Any, tmp_path: Path) -> Path:
    """60 rows in two clusters, "a" and "b": rows 0 to 9 are of "b" and labelled "a", rows 10 to 19
    are of "a" and suggested to be "b"; of rows 20 to 24, of "b" and labelled "a", nobody knows.
    """
    rng = np.random.default_rng(0)
    side = np.repeat([1, 0, 1, 0, 1], [10, 10, 5, 15, 20])
    z = np.eye(4)[side] + 0.05 * rng.normal(size=(60, 4))
    labels = ["a"] * 40 + ["b"] * 20
    suggested = ["b"] * 20 + labels[20:]
    order = rng.permutation(20)
    trust = [0.1 + 0.01 * order[row] for row in range(20)] + [0.7] * 40
    return Path(
        make_findings(
            tmp_path / "clusters",
            [f"text {row}" for row in range(60)],
            labels,
            suggested,
            credibility=trust,
            z=z / np.linalg.norm(z, axis=1, keepdims=True),
        )
    )


def test_learns_from_accepted_and_kept_labels(clusters: Path) -> None:
    store = open_review(clusters)
    for row in (0, 1, 2):
        store.decide("ada", row, "accept", "b")
    for row in (10, 11, 12):
        store.decide("ada", row, "keep")
    store.decide("ada", 3, "skip")
    found = rerank(store, clusters, "ada")
    assert found["anchors"] == 6
    assert found["added"] == 5
    rest = queries.page(store, "ada", Filter())
    first = [item["row"] for item in rest[:11]]
    assert set(first) == {4, 5, 6, 7, 8, 9, 20, 21, 22, 23, 24}
    assert {item["row"] for item in rest[11:]} == {13, 14, 15, 16, 17, 18, 19}
    new = queries.row(store, "ada", 22)
    assert (new["suggested"], new["kind"]) == ("b", "decisions")
    assert "your decisions on similar rows say “b”" in new["reason"]
    assert queries.progress(store, "ada", Filter()) == {
        "total": 25,
        "accept": 3,
        "keep": 3,
        "other": 0,
        "skip": 1,
    }


def test_another_reviewer_is_left_alone(clusters: Path) -> None:
    store = open_review(clusters)
    before = queries.page(store, "bob", Filter("all"), limit=200)
    store.decide("ada", 0, "accept", "b")
    rerank(store, clusters, "ada")
    assert queries.page(store, "bob", Filter("all"), limit=200) == before


def test_can_be_undone_and_repeated(clusters: Path) -> None:
    store = open_review(clusters)
    store.decide("ada", 0, "accept", "b")
    first = rerank(store, clusters, "ada")
    once = queries.page(store, "ada", Filter("all"), limit=200)
    assert rerank(store, clusters, "ada") == first
    assert queries.page(store, "ada", Filter("all"), limit=200) == once
    assert store.undo("ada") == 0
    assert queries.page(store, "ada", Filter("all"), status="decided") == []


def test_several_labels_are_not_re_ranked(several: Path) -> None:
    store = open_review(several)
    store.decide("ada", 0, "keep")
    with pytest.raises(SettingError, match="one label a row"):
        rerank(store, several, "ada")


def test_needs_decisions_and_embeddings(clusters: Path) -> None:
    store = open_review(clusters)
    store.decide("ada", 0, "skip")
    with pytest.raises(SettingError, match="no decisions to learn from"):
        rerank(store, clusters, "ada")
    store.decide("ada", 1, "keep")
    (clusters / "embeddings.npy").unlink()
    with pytest.raises(DataError, match=r"embeddings\.npy cannot be read"):
        rerank(store, clusters, "ada")
