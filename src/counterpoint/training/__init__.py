"""Trains methods; the only room that knows Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterpoint.training.settings import TrainSettings

if TYPE_CHECKING:
    from counterpoint.training.history import History
    from counterpoint.training.run import Interrupted, train

__all__ = ["History", "Interrupted", "TrainSettings", "train"]


def __getattr__(name: str) -> Any:
    if name == "History":
        from counterpoint.training.history import History

        return History
    if name in ("train", "Interrupted"):
        from counterpoint.errors import require

        require("lightning", "train")
        from importlib import import_module

        value = getattr(import_module("counterpoint.training.run"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
