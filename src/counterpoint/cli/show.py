"""``counterpoint show``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from counterpoint.cli.options import AsJson
from counterpoint.cli.terminal import claim_table, out, print_json, table


def show(
    id: Annotated[
        str, typer.Argument(help="A system of `counterpoint list`, a method, or an objective.")
    ],
    derive: Annotated[
        str | None,
        typer.Option(
            metavar="LOSS",
            help="With dpa-logic: a ratio such as 'w / l', or a form 'P; P_C; P_A', to derive "
            "the other from.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the card of a system or an objective: formula, settings, relations, claims, use."""
    from counterpoint.apps.card import card

    found = card(id)
    if derive is not None:
        found = {"forms": [_derived(derive, found)]}
    if as_json:
        print_json(found)
        return
    if derive is not None:
        _form(found["forms"][0])
        return
    _head(found)
    for part in found["parts"]:
        _part(part)
    _forms(found.get("forms", []))
    for claim in found["claims"]:
        out.print(f"[bold]Claim, {claim['verdict']}[/]: {escape(claim['claim'])}")
        out.print(claim_table(claim["parts"]))
    for heading, lines in (("Shell", found["use"]["shell"]), ("Python", found["use"]["python"])):
        if lines:
            out.print(f"[bold]{heading}[/]")
            out.print(*(f"  {line}" for line in lines), sep="\n", markup=False)


def _head(found: Mapping[str, Any]) -> None:
    out.print(f"[bold]{escape(found['id'])}[/]  {escape(found['name'])}")
    if "title" in found:
        paper = f"{found['title']}. {found['venue']}, arXiv {found['arxiv']} ({found['url']})"
        out.print(paper, markup=False)
        out.print(f"Changes: {found['kind']}. Takes: {found['modality']}.", markup=False)
    if "status" in found:
        out.print(f"Status: {found['status']}, that is: {found['promise']}.", markup=False)
    out.print()


def _part(part: Mapping[str, Any]) -> None:
    out.print(f"[bold]{part['name']}[/] ({part['kind']}, {part['module']})")
    source = part["sections"].get("Source")
    for text in (part["summary"], part["about"], source and f"Source: {source}"):
        if text:
            out.print(_flowing(text), markup=False)
    record = part.get("record")
    if record:
        out.print(f"Returns: {_flowing(part['sections']['Returns'])}", markup=False)
        out.print(*_advice(record), sep="\n", markup=False)
    arguments = [a for a in part["arguments"] if a["name"] != "encoder"]
    rows = [[a["name"], a["type"], a["default"], _flowing(a["about"])] for a in arguments]
    if rows:
        out.print(table(("setting", "type", "default", "what"), rows))
    if record:
        _proved(part["name"], record)


def _advice(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Takes: {record['inputs']} ({record['data'][0].lower()}{record['data'][1:]})."
    yield f"Across ranks: {record['across_ranks']}."
    yield f"When: {record['when']}"
    yield f"Unless: {record['unless']}"


def _proved(name: str, record: Mapping[str, Any]) -> None:
    """What a test runs: relations and the example."""
    if record["relations"]:
        out.print("[bold]Relations[/] (each a test, to 1e-9 or as stated)")
    for relation in record["relations"]:
        of = "" if relation["of"] == name else f"{relation['of']}: "
        to = f" To {relation['within']:g}." if relation["within"] > 1e-9 else ""
        out.print(f"  {of}{relation['says']}{to}", markup=False)
        sign = "has the gradient of" if relation["compare"] == "gradient" else "=="
        out.print(f"    {relation['this']}\n    {sign} {relation['that']}", markup=False)
    out.print("[bold]Example[/]")
    lines = record["example"].strip().splitlines()
    out.print(*(f"  {line}" for line in lines), sep="\n", markup=False)
    out.print()


def _forms(forms: list[Mapping[str, str]]) -> None:
    """Losses with their symbolic forms, and the losses derived from these again."""
    if not forms:
        return
    out.print("[bold]Symbolic forms[/]: loss -> P, where P_C, counting P_A both ways -> loss")
    for form in forms:
        _form(form)


def _form(form: Mapping[str, str]) -> None:
    also = f" (also {form['also']})" if form.get("also") else ""
    out.print(f"[bold]{escape(form.get('name', 'derived'))}[/]{also}")
    for what in ("loss", "core P", "constraint P_C", "additive P_A", "check rows", "cross rows"):
        out.print(f"  {what:16}{form[what]}", markup=False)
    out.print(f"  {'-> loss':16}{form['derived loss']}", markup=False)


def _derived(text: str, found: Mapping[str, Any]) -> dict[str, str]:
    from counterpoint.apps.symbolic import both_ways
    from counterpoint.errors import SettingError

    if "forms" not in found:
        raise SettingError(f"--derive is for dpa-logic, not for {found['id']}.")
    return both_ways(text)


def _flowing(text: str) -> str:
    """A docstring's paragraphs without its line breaks and code marks; blocks as they are."""
    return "\n\n".join(map(_paragraph, text.replace("``", "").split("\n\n")))


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    if all(line.startswith("    ") for line in lines):
        return text
    return " ".join(text.split()).removesuffix("::") + (":" if text.endswith("::") else "")
