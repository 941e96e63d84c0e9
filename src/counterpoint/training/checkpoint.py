"""The state of a run on disk, written so that a kill at any moment leaves a whole file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from counterpoint.errors import DataError, SettingError

FORMAT = 1


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


def checkpoint_path(out: Path) -> Path:
    """Where the last checkpoint of a run lies."""
    return out / "checkpoints" / "last.pt"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes beside ``path``, then renames over it: the old file or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        kept = f" The previous checkpoint {path} is kept." if path.exists() else ""
        raise DataError(f"Cannot write the checkpoint {path}: {error}.{kept}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint; tensors and plain values only, no code is run.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise DataError(f"No checkpoint to resume from at {path}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(f"The checkpoint {path} cannot be read: {error}") from error
    if state.get("format") != FORMAT:
        raise DataError(f"The checkpoint {path} is of format {state.get('format')}, not {FORMAT}.")
    return dict(state)
