"""The published systems this library carries, one row each, readable without importing torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Literal

from counterpoint.errors import SettingError, unknown_name

Status = Literal["ready", "function", "planned"]

MEANING: dict[Status, str] = {
    "ready": "trains or scores real data end to end",
    "function": "its formulas are here and agree with the authors' numbers",
    "planned": "not here yet",
}
"""What each status promises."""


@dataclass(frozen=True)
class Entry:
    """One published system.

    Attributes:
        id: its name on the command line and in Python.
        name: what its authors call it.
        title: title of the paper.
        venue: where and when it was published.
        arxiv: arXiv number.
        family: the field it belongs to.
        kind: which parts of the machine it changes, comma-separated.
        modality: what it takes.
        status: ``"ready"``, ``"function"`` or ``"planned"``; see `MEANING`.
        code: the modules of this package that hold it, such as ``"methods.image.dcl"``.
    """

    id: str
    name: str
    title: str
    venue: str
    arxiv: str
    family: str
    kind: str
    modality: str
    status: Status
    code: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.kind.split(","))

    @property
    def url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv}"

    def row(self) -> dict[str, str]:
        """The entry as ``counterpoint list --json`` prints it."""
        shown = ("id", "name", "title", "family", "kind", "modality", "arxiv", "status")
        values = asdict(self)
        return {key: values[key] for key in shown}


@cache
def entries() -> tuple[Entry, ...]:
    """Every system of the catalogue, in the order of its file."""
    text = files("counterpoint").joinpath("catalog.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(_entry(row) for row in rows)


def _entry(row: dict[str, str]) -> Entry:
    status = row.pop("status")
    if status not in MEANING:
        raise SettingError(f"Catalogue row {row['id']!r} has the unknown status {status!r}.")
    code = tuple(row.pop("code").split())
    return Entry(**row, status=status, code=code)


def find(id: str) -> Entry:
    """The system called ``id``.

    Raises:
        SettingError: there is none; the message offers the nearest names.
    """
    known = {entry.id: entry for entry in entries()}
    if id not in known:
        raise unknown_name("system", id, known)
    return known[id]


def select(
    pattern: str = "*",
    *,
    modality: str | None = None,
    kind: str | None = None,
    family: str | None = None,
    status: str | None = None,
) -> tuple[Entry, ...]:
    """The systems that fit every condition given, in the order of the catalogue.

    Args:
        pattern: shell wildcards on the id, such as ``"*cse"``; a plain word must match whole.
        modality: a word of the modality ("images", "text", "graph").
        kind: one of the kinds ("loss", "pairing", "probe").
        family: a word of the family ("supervision", "diffusion").
        status: ``"ready"``, ``"function"`` or ``"planned"``.

    Raises:
        SettingError: kind or status is none that occurs; the message lists those that do.
    """
    kinds = {part for entry in entries() for part in entry.kinds}
    _check("kind", kind, kinds)
    _check("status", status, MEANING)
    return tuple(
        entry
        for entry in entries()
        if fnmatchcase(entry.id, pattern.lower())
        and (modality is None or modality.lower() in entry.modality.lower())
        and (kind is None or kind in entry.kinds)
        and (family is None or family.lower() in entry.family.lower())
        and (status is None or status == entry.status)
    )


def _check(what: str, value: str | None, known: Iterable[str]) -> None:
    names = sorted(known)
    if value is not None and value not in names:
        raise SettingError(f"No {what} {value!r} in the catalogue. There are: {', '.join(names)}.")
