"""``counterpoint show``."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from counterpoint.cli.options import AsJson
from counterpoint.cli.terminal import claim_table, out, print_json, table


def show(
    id: Annotated[str, typer.Argument(help="A system of `counterpoint list`, or a method.")],
    as_json: AsJson = False,
) -> None:
    """Show the card of a system: paper, idea, formula, settings, claims, how to use it."""
    from counterpoint.apps.card import card

    found = card(id)
    if as_json:
        print_json(found)
        return
    _head(found)
    for part in found["parts"]:
        _part(part)
    for claim in found["claims"]:
        out.print(f"[bold]Claim, {claim['verdict']}[/]: {escape(claim['claim'])}")
        out.print(claim_table(claim["parts"]))
    for heading, lines in (("Shell", found["use"]["shell"]), ("Python", found["use"]["python"])):
        if lines:
            out.print(f"[bold]{heading}[/]")
            out.print(*(f"  {line}" for line in lines), sep="\n", markup=False)


def _head(found: dict[str, Any]) -> None:
    out.print(f"[bold]{escape(found['id'])}[/]  {escape(found['name'])}")
    if "title" in found:
        paper = f"{found['title']}. {found['venue']}, arXiv {found['arxiv']} ({found['url']})"
        out.print(paper, markup=False)
        out.print(f"Changes: {found['kind']}. Takes: {found['modality']}.", markup=False)
    out.print(f"Status: {found['status']}, that is: {found['promise']}.\n", markup=False)


def _part(part: dict[str, Any]) -> None:
    out.print(f"[bold]{part['name']}[/] ({part['kind']}, {part['module']})")
    source = part["sections"].get("Source")
    for text in (part["summary"], part["about"], source and f"Source: {source}"):
        if text:
            out.print(_flowing(text), markup=False)
    arguments = [a for a in part["arguments"] if a["name"] != "encoder"]
    rows = [[a["name"], a["type"], a["default"], _flowing(a["about"])] for a in arguments]
    if rows:
        out.print(table(("setting", "type", "default", "what"), rows))


def _flowing(text: str) -> str:
    """A docstring's paragraphs without its line breaks and code marks."""
    paragraphs = text.replace("``", "").split("\n\n")
    return "\n\n".join(" ".join(lines.split()) for lines in paragraphs)
