from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterpoint.curation.neighbour_search import Plan, plan_search, search
from counterpoint.data.stored_rows import StoredRows, store_rows

K = 10


@pytest.fixture(scope="module")
def z() -> Any:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 16))[rng.integers(40, size=6000)] + 0.6 * rng.normal(
        size=(6000, 16)
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def true(z: Any) -> Any:
    scores = z @ z.T
    np.fill_diagonal(scores, -np.inf)
    return torch.from_numpy(scores).topk(K, dim=1).indices.numpy()


@pytest.fixture
def rows(z: Any, tmp_path: Path) -> StoredRows:
    return store_rows(tmp_path / "z.npy", [z], z.shape, np.float32)


def queries(plan: Plan) -> list[int]:
    return [place for unit in plan.units for place in range(len(plan.rows))[unit.queries]]


def test_all_with_all_is_exact(rows: StoredRows, true: Any, z: Any, tmp_path: Path) -> None:
    plan = plan_search(rows, K, tmp_path)
    assert plan.recall == 1
    assert queries(plan) == list(range(6000))
    near = search(plan, K)
    assert (near.index == true).mean() > 0.9999
    cosine = np.einsum("nd,nkd->nk", z, z[near.index])
    np.testing.assert_allclose(near.similarity, cosine, atol=1e-6)


@pytest.mark.parametrize("recall", [0.7, 0.9])
def test_the_recall_of_clusters_is_the_one_measured(
    rows: StoredRows, true: Any, tmp_path: Path, recall: float
) -> None:
    plan = plan_search(rows, K, tmp_path, exact=1000, recall=recall)
    assert plan.recall >= recall
    assert sorted(queries(plan)) == list(range(6000))
    near = search(plan, K)
    found = [len(np.intersect1d(a, b)) for a, b in zip(near.index, true, strict=True)]
    assert abs(np.mean(found) / K - plan.recall) < 0.02
    assert (near.index != np.arange(6000)[:, None]).all()
    assert (np.diff(near.similarity, axis=1) <= 0).all()


def test_clusters_too_small_for_k_are_searched_together(rows: StoredRows, tmp_path: Path) -> None:
    plan = plan_search(rows, 1500, tmp_path, exact=1000, recall=0.01)
    near = search(plan, 1500)
    assert np.isfinite(near.similarity).all()


def test_half_precision_finds_the_same(z: Any, true: Any, tmp_path: Path) -> None:
    half = store_rows(tmp_path / "half.npy", [z], z.shape, np.float16)
    near = search(plan_search(half, K, tmp_path), K)
    found = [len(np.intersect1d(a, b)) for a, b in zip(near.index, true, strict=True)]
    assert np.mean(found) / K > 0.99
