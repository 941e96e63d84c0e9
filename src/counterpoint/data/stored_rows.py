"""Rows of numbers kept in a file: read block by block, never all in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from counterpoint.errors import DataError
from counterpoint.files import write_whole

BLOCK_ROWS = 32_768


@dataclass(frozen=True)
class StoredRows:
    """A matrix ``(N, D)`` in a ``.npy`` file, indexed by slices or positions like an array.

    Read rather than mapped into memory, so that what was read does not stay.
    """

    path: Path
    shape: tuple[int, int]
    kept: np.dtype[Any]
    offset: int

    dtype = np.dtype(np.float32)
    """Type of the rows as read, whatever precision they are kept in."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        if isinstance(rows, slice):
            return self.block(rows).astype(np.float32)
        size = self.shape[1] * self.kept.itemsize
        found = np.empty((len(rows), self.shape[1]), dtype=self.kept)
        with self.path.open("rb", buffering=0) as file:
            for place, row in enumerate(rows.tolist()):
                os.preadv(file.fileno(), [found[place]], self.offset + row * size)
        return found.astype(np.float32)

    def block(self, rows: slice) -> NDArray[Any]:
        """Consecutive rows as they are kept."""
        start, stop, _ = rows.indices(len(self))
        width = self.shape[1]
        offset = self.offset + start * width * self.kept.itemsize
        values = np.fromfile(self.path, self.kept, max(0, stop - start) * width, offset=offset)
        return values.reshape(-1, width)


def store_rows(
    path: Path, blocks: Iterable[NDArray[Any]], shape: tuple[int, int], dtype: DTypeLike
) -> StoredRows:
    """Writes blocks of rows as one ``.npy`` file, whole or not at all.

    Args:
        path: the file.
        blocks: arrays ``(n, D)``, N rows in all.
        shape: N and D.
        dtype: what to keep them in.
    """
    kept = np.dtype(dtype)

    def write(file: IO[bytes]) -> None:
        about = {"descr": kept.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, about)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=kept).data)

    write_whole(path, write)
    return stored_rows(path)


def stored_rows(path: Path) -> StoredRows:
    """Rows that a ``.npy`` file holds.

    Raises:
        DataError: it cannot be read, or holds no matrix of numbers.
    """
    try:
        with path.open("rb") as file:
            shape, kept = npy_header(file)
            return StoredRows(path, shape, kept, file.tell())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as .npy: {error}") from error


def npy_header(file: IO[bytes]) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Shape and type of the matrix in an open ``.npy`` file, which is left at its numbers."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format is not known")
    shape, columnwise, kept = read(file)
    if len(shape) != 2 or columnwise or kept.kind not in "fiu":
        raise ValueError(f"needs numbers (N, D), row by row; got {kept} {shape}")
    return (shape[0], shape[1]), kept
