"""How to run the same thing again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from counterpoint.report.board import mapping
from counterpoint.report.page import Part


def reproduce(results: Mapping[str, Any]) -> Part | None:
    """Command and resolved configuration; None if the results hold neither."""
    config = mapping(results, "config")
    command = str(results.get("command") or "")
    if not config and not command:
        return None
    return Part(
        id="reproduce",
        title="How to reproduce",
        template="reproduce.html.jinja",
        context={
            "command": command,
            "config": _yaml(config) if config else "",
            "version": str(results.get("version") or ""),
        },
    )


def _yaml(config: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(config, default=str))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
