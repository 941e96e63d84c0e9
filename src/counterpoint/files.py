"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from counterpoint.errors import SettingError


def check_writable(folder: Path) -> None:
    """Makes ``folder`` and proves that files can be written there.

    Raises:
        SettingError: they cannot; said before any work is done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 65536)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise SettingError(
            f"Cannot write to {folder}: {error.strerror or error}. Free some space, or choose "
            f"another folder with out=."
        ) from error


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file beside ``path``, then renames it over: never half a file.

    Args:
        path: the file; its folder is made if need be.
        write: is given the open binary file.

    Raises:
        SettingError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).chmod(0o644)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingError(f"Cannot write {path}: {error.strerror or error}.") from error


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file whole, see `write_whole`."""
    write_whole(path, lambda file: file.write(text.encode()))
