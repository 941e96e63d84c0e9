"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from counterpoint.errors import SettingError


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file beside ``path``, then renames it over: never half a file.

    Raises:
        SettingError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingError(f"Cannot write {path}: {error.strerror or error}.") from error
