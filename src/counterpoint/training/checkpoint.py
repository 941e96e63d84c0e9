"""The state of a run on disk, written so that a kill at any moment leaves a whole file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.files import write_whole

FORMAT = 1


def checkpoint_path(out: Path) -> Path:
    """Where the last checkpoint of a run lies."""
    return out / "checkpoints" / "last.pt"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes whole or not at all: the file at ``path`` is the old one or the new one."""
    try:
        write_whole(path, lambda file: torch.save({"format": FORMAT, **state}, file))
    except (SettingError, RuntimeError) as error:
        kept = f" The previous checkpoint {path} is kept." if path.exists() else ""
        raise DataError(f"Cannot write the checkpoint {path}: {error}{kept}") from error


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
