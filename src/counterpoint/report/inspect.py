"""The page of an inspected space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint.files import write_text
from counterpoint.report import numbers
from counterpoint.report.board import GEOMETRY, mapping
from counterpoint.report.confusion import confusion
from counterpoint.report.course import course
from counterpoint.report.hardness import hardness
from counterpoint.report.nearest import nearest
from counterpoint.report.origin import origin
from counterpoint.report.page import Head, Part, render
from counterpoint.report.protocol import tree
from counterpoint.report.reproduce import reproduce
from counterpoint.report.scores import scores
from counterpoint.report.space_map import space_map
from counterpoint.report.spectrum import spectrum


def inspect_page(result: Mapping[str, Any], path: Path) -> None:
    """Writes the page of an inspected space as one self-contained HTML file, whole or not at all.

    Args:
        result: what `counterpoint.apps.inspect.inspect` returns, and beside it, if known,
            ``command``, ``config``, ``version`` and ``started`` as in a comparison's results;
            every part may be missing.
        path: the file to write; its folder is made if need be.

    Raises:
        MissingExtraError: jinja2 or plotly is not installed.
        SettingError: the folder cannot be written.
    """
    parts: list[Part | None] = [
        space_map(result),
        nearest(result),
        scores(result),
        hardness(result),
        course(result),
        confusion(result),
        spectrum(result),
        _settings(result),
        reproduce(result),
    ]
    write_text(path, render(_head(result), [part for part in parts if part]))


def _head(result: Mapping[str, Any]) -> Head:
    name = str(result.get("name") or "")
    return Head(
        title=f"{name} – inspect" if name else "inspect",
        kind="inspect",
        headline=_headline(result),
        notes=tuple(_notes(result)),
        facts=_facts(result),
        origin=origin(result),
    )


def _headline(result: Mapping[str, Any]) -> tuple[str, str]:
    used = _use(result)
    found = mapping(result, "confusion")
    purity, chance = (numbers.finite(found.get(key)) for key in ("purity", "chance"))
    if purity is None:
        return (f"{used[:1].upper()}{used[1:]}.", "") if used else ("An embedding space.", "")
    against = "" if chance is None else f"by chance {numbers.percent(chance)} would"
    detail = "; ".join(filter(None, [against, used]))
    return (
        f"{numbers.percent(purity)} of nearest neighbours share the anchor's label;",
        f"{detail}.",
    )


def _use(result: Mapping[str, Any]) -> str:
    rank = numbers.finite(mapping(result, "geometry").get("effective_rank"))
    width = numbers.finite(result.get("dimension"))
    if rank is None or width is None:
        return ""
    return (
        f"the embeddings use {numbers.decimal(rank, 1)} of {numbers.count(width)} directions "
        "(effective rank)"
    )


def _notes(result: Mapping[str, Any]) -> list[str]:
    used, samples = (numbers.finite(result.get(key)) for key in ("used", "samples"))
    notes = [
        f"{column.title.capitalize()} is missing: {mapping(result, 'reasons')[column.key]}."
        for column in GEOMETRY
        if mapping(result, "reasons").get(column.key)
    ]
    if used and samples and used < samples:
        notes.append(
            f"A random {numbers.count(used)} of {numbers.count(samples)} samples are described."
        )
    return notes


def _facts(result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = [("space", str(result.get("name") or ""))]
    for key, title in (("samples", "samples"), ("dimension", "dimensions")):
        value = numbers.finite(result.get(key))
        facts.append((title, "" if value is None else numbers.count(value)))
    classes = len(mapping(result, "classes"))
    facts.append(("classes", numbers.count(classes) if classes else ""))
    for column in GEOMETRY:
        value = numbers.finite(mapping(result, "geometry").get(column.key))
        facts.append((column.title, "" if value is None else column.show(value)))
    return tuple((key, value) for key, value in facts if value)


def _settings(result: Mapping[str, Any]) -> Part | None:
    settings = mapping(result, "protocol")
    if not settings:
        return None
    return Part(
        id="protocol",
        title="Protocol",
        template="protocol.html.jinja",
        context={"data": [], "protocol": tree(settings), "problems": [], "more": 0, "count": 0},
    )
