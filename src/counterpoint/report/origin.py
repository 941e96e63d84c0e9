"""Where a page comes from, as its foot says it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def origin(results: Mapping[str, Any]) -> str:
    """Version and beginning of the run, as far as they are known."""
    version = str(results.get("version") or "")
    return " · ".join(filter(None, [f"counterpoint {version}".strip(), started(results)]))


def started(results: Mapping[str, Any]) -> str:
    """When the run began, as people write it; the text itself if it is not an ISO date."""
    text = str(results.get("started") or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = f" {moment.tzname()}" if moment.tzinfo else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"
