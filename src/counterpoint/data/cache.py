"""Text that took a while to make, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from counterpoint.errors import SettingError
from counterpoint.files import write_text


def cached(name: str, key: str, make: Callable[[], str]) -> str:
    """The text that ``make`` returned for this name and key, on this machine, at any time.

    Written whole or not at all; where the folder cannot be written, it is made anew each time.

    Args:
        name: what it is; begins the file's name.
        key: everything its content depends on.
        make: makes it.
    """
    file = cache_folder() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    with suppress(OSError, UnicodeDecodeError):
        return file.read_text(encoding="utf-8")
    text = make()
    with suppress(SettingError):
        write_text(file, text)
    return text


def cache_folder() -> Path:
    """``$COUNTERPOINT_CACHE``, or ``counterpoint`` in the user's cache folder."""
    own = os.environ.get("COUNTERPOINT_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "counterpoint"
