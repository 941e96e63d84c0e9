"""Reads the parts of a docstring, from which cards and pages are made."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Source|Sources|Example|Examples):")
_ARGUMENT = re.compile(r"^(?P<name>\*{0,2}\w+)(?: \([^)]*\))?:\s*(?P<text>.*)$")


@dataclass(frozen=True)
class Docstring:
    """The parts of one docstring.

    Attributes:
        summary: its first sentence or paragraph, on one line.
        about: what follows up to the first section, line breaks kept.
        arguments: description of each argument or attribute by name.
        sections: every other section by its heading, such as ``"Returns"`` or ``"Source"``.
    """

    summary: str
    about: str
    arguments: dict[str, str] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)


def read(thing: Any) -> Docstring:
    """Splits the docstring of a class, function or module into its parts."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    bodies: dict[str, list[str]] = {"": []}
    heading = ""
    for line in lines:
        found = _SECTION.match(line)
        if found:
            heading = found[1]
            bodies[heading] = [line[found.end() :].strip()]
        else:
            bodies[heading].append(line)
    summary, _, about = "\n".join(bodies.pop("")).strip().partition("\n\n")
    arguments = {
        name: text
        for heading in ("Args", "Attributes")
        for name, text in _arguments(bodies.pop(heading, [])).items()
    }
    sections = {
        heading: inspect.cleandoc("\n".join(body)).strip() for heading, body in bodies.items()
    }
    return Docstring(" ".join(summary.split()), about.strip("\n").rstrip(), arguments, sections)


def _arguments(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    for line in lines:
        started = _ARGUMENT.match(line[indent:])
        if started:
            name = started["name"]
            found[name] = started["text"]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found
