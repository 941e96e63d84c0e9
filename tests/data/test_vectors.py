from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterpoint.data.vectors import VectorCache, content_keys


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path))


def test_vectors_come_back_by_content_in_any_order() -> None:
    store, texts = VectorCache("a"), [f"text {i}" for i in range(20)]
    z = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    store.keep(content_keys(texts[:10]), z[:10])
    store.keep(content_keys(texts[10:]), z[10:])
    order = np.random.default_rng(1).permutation(20)
    asked = [texts[i] for i in order] + ["new"]
    found, vectors = VectorCache("a").find(content_keys(asked))
    assert found.tolist() == [True] * 20 + [False]
    assert vectors is not None
    np.testing.assert_array_equal(vectors[:20], z[order])


def test_spaces_are_apart_and_damage_is_forgotten(tmp_path: Path) -> None:
    keys = content_keys(["a"])
    store = VectorCache("a")
    store.keep(keys, np.ones((1, 2), dtype=np.float32))
    assert not VectorCache("b").find(keys)[0].any()
    for file in store.folder.glob("*.npy"):
        file.write_bytes(b"half")
    found, vectors = store.find(keys)
    assert not found.any()
    assert vectors is None


def test_content_decides_the_key() -> None:
    a = np.zeros((1, 4), dtype=np.uint8)
    keys = content_keys(["x", "x", "y", a, a.reshape(2, 2), "\ud800"])
    assert keys[0] == keys[1]
    assert len(set(keys.tolist())) == 5


def test_nothing_has_an_empty_key() -> None:
    assert (content_keys([None, "", np.zeros(2)]) == b"").tolist() == [True, False, False]
