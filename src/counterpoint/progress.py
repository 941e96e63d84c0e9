"""How long jobs tell whoever watches how far they are; drawing is left to the watcher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One step of a long job.

    Attributes:
        stage: what is being done, stable while its bar should stay the same ("train simclr").
        done: how much of it is done.
        total: how much there is.
        note: the latest figure worth reading, such as the loss.
    """

    stage: str
    done: float
    total: float
    note: str = ""


OnProgress = Callable[[Progress], None]
