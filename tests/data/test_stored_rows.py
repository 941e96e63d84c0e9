from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterpoint.data.stored_rows import store_rows, stored_rows
from counterpoint.errors import DataError


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_blocks_come_back_by_slice_and_by_position(tmp_path: Path, dtype: type) -> None:
    z = np.random.default_rng(0).normal(size=(50, 6)).astype(dtype)
    rows = store_rows(tmp_path / "z.npy", iter([z[:20], z[20:]]), z.shape, dtype)
    assert (len(rows), rows.shape) == (50, (50, 6))
    assert rows[3:9].dtype == rows.dtype == np.float32
    assert (rows[3:9] == z[3:9]).all()
    assert (rows[45:99] == z[45:]).all()
    assert rows.block(slice(3, 9)).dtype == dtype
    order = np.array([7, 0, 49, 7])
    assert (rows[order] == z[order]).all()


def test_the_file_is_a_common_one(tmp_path: Path) -> None:
    z = np.arange(12.0).reshape(4, 3)
    store_rows(tmp_path / "z.npy", [z], z.shape, np.float32)
    assert (np.load(tmp_path / "z.npy") == z).all()
    np.save(tmp_path / "theirs.npy", z.astype(np.int32))
    assert (stored_rows(tmp_path / "theirs.npy")[:] == z).all()


@pytest.mark.parametrize("array", [np.zeros(4), np.array([["a"]]), np.zeros((3, 4), order="F")])
def test_what_is_no_matrix_by_rows_is_refused(tmp_path: Path, array: object) -> None:
    np.save(tmp_path / "z.npy", array)
    with pytest.raises(DataError, match=r"z\.npy cannot be read"):
        stored_rows(tmp_path / "z.npy")


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "z.npy").write_bytes(b"not numpy")
    with pytest.raises(DataError, match=r"z\.npy cannot be read"):
        stored_rows(tmp_path / "z.npy")
