"""``counterpoint compare``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from counterpoint.cli import terminal
from counterpoint.cli.guard import INTERRUPTED
from counterpoint.cli.models import Limit
from counterpoint.cli.options import (
    AsJson,
    Config,
    LabelColumn,
    Sets,
    TextColumn,
    settings,
    words,
)
from counterpoint.cli.watch import watching


def compare(
    context: typer.Context,
    data: Annotated[
        str, typer.Option(help="A built-in name, an image folder or a table.", metavar="DATA")
    ] = "glyphs",
    text: TextColumn = None,
    label: LabelColumn = None,
    size: Annotated[int | None, typer.Option(help="Height and width of images.")] = None,
    limit: Limit = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            help="Names, METHOD+OBJECTIVE, METHOD:NAME=VALUE, untrained, pixels or words; "
            "commas between them.",
            metavar="NAMES",
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="conv-small, a timm or a transformers name, a folder.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, instead of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step.")] = None,
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    sets: Sets = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find out which contrastive method embeds your data best: a leaderboard and a report."""
    import counterpoint

    with watching() as on_progress:
        board = counterpoint.compare(
            words(methods),
            data,
            text=text,
            label=label,
            size=size,
            limit=limit,
            encoder=encoder,
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            out=out,
            settings=settings(context, sets),
            command=shlex.join(["counterpoint", *sys.argv[1:]]),
            on_progress=on_progress,
        )
    if as_json:
        terminal.print_json(board.results)
    else:
        _draw(board.results)
    terminal.print_problems(
        board.results["data"]["problems"], str(board.directory / "results.json")
    )
    terminal.err.print(f"Report: {board.directory / 'report.html'}", markup=False, soft_wrap=True)
    if board.interrupted:
        done = len(board.results["rows"])
        terminal.err.print(
            f"counterpoint: interrupted; rows done: {done}, kept in {board.directory}.",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED)


WIDE = 100
"""From so many columns on, a terminal gets the geometry as well."""


def _draw(results: Mapping[str, Any]) -> None:
    """The leaderboard, with the columns and the order of the report."""
    from counterpoint.report.board import GEOMETRY, PROBES, TRAINING, read

    board = read(results)
    probes = PROBES if board.lead else ()
    geometry = GEOMETRY if terminal.out.width >= WIDE or not probes else ()
    columns = [*probes, *geometry, *(c for c in TRAINING if c.key == "seconds")]
    rows = [
        [
            row.label,
            row.role,
            *(None if (v := row.value(c)) is None else c.show(v) for c in columns),
        ]
        for row in board.of("method", "ceiling", "floor")
    ]
    titles = [column.title for column in columns]
    drawn = terminal.table(("method", "role", *titles), rows, ("method", "role"), titles)
    terminal.out.print(drawn)
    for row in results["rows"]:
        if row.get("error"):
            terminal.err.print(f"{row['method']} failed: {row['error']}", markup=False)
