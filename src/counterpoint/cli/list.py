"""``counterpoint list``."""

from __future__ import annotations

from typing import Annotated

import typer

from counterpoint import catalog
from counterpoint.cli.options import AsJson
from counterpoint.cli.terminal import err, out, print_json, table


def list_systems(
    pattern: Annotated[str, typer.Argument(help="Wildcards on the id, such as '*cse'.")] = "*",
    modality: Annotated[str | None, typer.Option(help="A word: images, text, graph.")] = None,
    kind: Annotated[str | None, typer.Option(help="loss, pairing, view, probe ...")] = None,
    family: Annotated[str | None, typer.Option(help="A word: supervision, diffusion.")] = None,
    status: Annotated[str | None, typer.Option(help="ready, function or planned.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the published systems of the catalogue, and which of them run today."""
    found = catalog.select(pattern, modality=modality, kind=kind, family=family, status=status)
    if as_json:
        print_json({"rows": [entry.row() for entry in found]})
        return
    if not found:
        err.print(
            f"No system matches {pattern!r} and these filters; `counterpoint list` shows all.",
            markup=False,
            soft_wrap=True,
        )
        return
    columns = ("id", "name", "kind", "modality", "status")
    out.print(
        table(
            columns,
            [[getattr(entry, name) for name in columns] for entry in found],
            whole=("id", "status"),
        )
    )
    for name, promise in catalog.MEANING.items():
        count = sum(entry.status == name for entry in found)
        err.print(f"{count:3} {name}: {promise}")
