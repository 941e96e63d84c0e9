"""Builds a page from parts: one HTML file that needs nothing beside it and asks the net nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from counterpoint.errors import require
from counterpoint.report import numbers

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class Part:
    """One section of a page.

    Attributes:
        id: anchor in the page.
        title: heading and entry of the contents.
        template: file in ``templates/`` that renders it.
        context: what the template sees.
        lead: a sentence or two under the heading.
    """

    id: str
    title: str
    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    lead: str = ""


@dataclass(frozen=True)
class Head:
    """What stands above the parts.

    Attributes:
        title: of the browser's tab.
        kind: which application wrote the page.
        headline: the finding in one sentence, its first and its second half.
        notes: what a reader must know to weigh the finding.
        facts: pairs of a name and a value.
        origin: version and date, in words.
    """

    title: str
    kind: str
    headline: tuple[str, str]
    notes: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    origin: str = ""


def render(head: Head, parts: Iterable[Part]) -> str:
    """The page as HTML. Every text is escaped; scripts, styles and data are inline.

    Raises:
        MissingExtraError: jinja2 or plotly is not installed.
    """
    environment = _environment()
    sections = [
        (part, environment.get_template(part.template).render(part.context)) for part in parts
    ]
    plotly: str = require("plotly.offline", "report").get_plotlyjs()
    return environment.get_template("page.html.jinja").render(
        head=head,
        sections=sections,
        styles=_asset("page.css"),
        scripts=[_closed(plotly), *(_asset(name) for name in ("charts.js", "page.js", "map.js"))],
    )


def embed_json(value: object) -> str:
    """JSON that is safe inside a script element: no ``<``, ``>`` or ``&``, no NaN."""
    text = json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return numbers.finite(value)
    return value


def _closed(script: str) -> str:
    return script.replace("</script", r"<\/script")


def _asset(name: str) -> str:
    return (resources.files("counterpoint.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    jinja2 = require("jinja2", "report")
    markup = require("markupsafe", "report").Markup
    environment: Environment = jinja2.Environment(
        loader=jinja2.PackageLoader("counterpoint.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: markup(embed_json(value))
    environment.filters["trusted"] = markup
    environment.globals["missing"] = numbers.MISSING
    return environment
