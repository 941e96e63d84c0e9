"""Whether what a judgement holds fits into memory, said before any work."""

from __future__ import annotations

import os
import sys

from counterpoint.errors import DataError

TABLES = 12
"""Tables of rows x classes that a judgement holds at its peak."""

NUMBER = 8
"""Bytes."""


def check_room(rows: int, classes: int) -> None:
    """Proves that rows x classes fit into the memory of this machine.

    Raises:
        DataError: they do not.
    """
    needed = TABLES * NUMBER * rows * classes
    there = memory()
    if needed > there:
        raise DataError(
            f"{rows} rows x {classes} classes need about {needed / 2**30:.0f} GiB of memory, and "
            f"this machine has {there / 2**30:.0f}. Take a coarser column of labels, or fewer rows."
        )


def memory() -> int:
    """Bytes of memory this machine has; without bound where it does not say."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
