"""Embeddings kept in the user's cache folder by the content that they embed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.cache import cache_folder
from counterpoint.errors import SettingError
from counterpoint.files import write_whole

DIGEST = 16
Keys = NDArray[np.bytes_]


class VectorCache:
    """Vectors by content, in parts that are each written whole or not at all.

    Where the folder cannot be written or a part cannot be read, nothing is kept or found.

    Args:
        space: everything but the content that a vector depends on (encoder, weights, precision).
    """

    def __init__(self, space: str) -> None:
        name = hashlib.sha256(space.encode()).hexdigest()[:16]
        self.folder = cache_folder() / f"vectors-{name}"

    def find(self, keys: Keys) -> tuple[NDArray[np.bool_], NDArray[np.float32] | None]:
        """Which keys are kept, and an array ``(N, D)`` with their vectors in place.

        The array is None where nothing is kept; rows that are not kept are not set.
        """
        found = np.zeros(len(keys), dtype=bool)
        vectors: NDArray[np.float32] | None = None
        parts = sorted(self.folder.glob("*.npy")) if self.folder.is_dir() else []
        for part in parts:
            if part.stem.endswith("-keys") or found.all():
                continue
            with suppress(OSError, ValueError, EOFError):
                kept = np.load(part.with_name(f"{part.stem}-keys.npy"))
                rows = np.load(part, mmap_mode="r")
                place = np.minimum(np.searchsorted(kept, keys), len(kept) - 1)
                here = ~found & (kept[place] == keys)
                if vectors is None:
                    vectors = np.empty((len(keys), rows.shape[1]), dtype=np.float32)
                vectors[here] = rows[place[here]]
                found |= here
        return found, vectors

    def keep(self, keys: Keys, vectors: NDArray[np.float32]) -> None:
        """Keeps one vector ``(D,)`` a key; a part is found once its vectors are there."""
        order = np.argsort(keys)
        name = hashlib.sha256(keys[order].tobytes()).hexdigest()[:16]
        with suppress(SettingError):
            _write(self.folder / f"{name}-keys.npy", keys[order])
            _write(self.folder / f"{name}.npy", vectors[order].astype(np.float32))


def content_keys(items: Sequence[Any]) -> Any:
    """A digest of each text or array, bytes ``(N,)`` that sort; empty for None."""
    digests = ["" if item is None else _digest(item) for item in items]
    return np.array(digests, dtype=f"S{2 * DIGEST}")


def _digest(item: Any) -> str:
    return hashlib.blake2b(_content(item), digest_size=DIGEST).hexdigest()


def _content(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    array = np.ascontiguousarray(item)
    return f"{array.shape}{array.dtype}".encode() + array.tobytes()


def _write(file: Path, array: NDArray[Any]) -> None:
    write_whole(file, lambda draft: np.save(draft, array))
