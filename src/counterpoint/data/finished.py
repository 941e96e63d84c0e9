"""Finished parts of a long job, kept until the same job is asked for again."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.cache import cache_folder
from counterpoint.errors import SettingError
from counterpoint.files import write_text, write_whole


class Finished:
    """Numbers by name in a folder, each file whole or not there.

    Where the folder cannot be written, nothing is kept.

    Args:
        name: what the job is; begins the folder's name.
        key: everything that the results depend on.
        place: where the folder is; None for the user's cache.
    """

    def __init__(self, name: str, key: str, place: Path | None = None) -> None:
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        self.folder = (place or cache_folder()) / f"{name}-{digest}"

    def settings(self) -> dict[str, Any] | None:
        """What `keep_settings` was given last."""
        with suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.folder / "settings.json").read_text("utf-8"))
            return found
        return None

    def keep_settings(self, settings: dict[str, Any]) -> None:
        """Keeps plain values."""
        with suppress(SettingError):
            write_text(self.folder / "settings.json", json.dumps(settings))

    def part(self, name: str) -> dict[str, NDArray[Any]] | None:
        """The numbers of a part by name, or None where it is not finished."""
        broken = (OSError, ValueError, EOFError, BadZipFile)
        with suppress(*broken), np.load(self.folder / f"{name}.npz") as numbers:
            return dict(numbers)
        return None

    def keep_part(self, name: str, **numbers: Any) -> None:
        """Keeps the numbers of a part."""
        with suppress(SettingError):
            write_whole(self.folder / f"{name}.npz", lambda file: np.savez(file, **numbers))
