"""``counterpoint review``."""

from __future__ import annotations

import getpass
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from counterpoint.cli import terminal
from counterpoint.cli.options import AsJson, Config
from counterpoint.cli.watch import watching


def review(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="What `counterpoint reannotate --out DIR` has written."),
    ],
    reviewer: Annotated[
        str | None,
        typer.Option(
            help="Who decides: several people's decisions are kept apart. Your login name by "
            "default; of an export, everyone.",
            metavar="NAME",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write the decisions (who, when, before, after) to a .csv or .parquet file, and "
            "serve nothing.",
            metavar="FILE",
        ),
    ] = None,
    corrected: Annotated[
        Path | None,
        typer.Option(
            help="Write your table with the labels decided for to a .csv or .parquet file, and "
            "serve nothing. Rows without a decision, or on which reviewers disagree, keep theirs.",
            metavar="FILE",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port on this machine; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, or print its address.")
    ] = True,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Go through suggested labels in a browser, worst first, and decide by single keys.

    Every decision is on the disk at once, in DIR/review.sqlite: stop and start as you like. The
    page is served to this machine alone, at an address with a secret in it. Keys: a accept, k keep,
    o another label, s skip, u undo, ? all keys.
    """
    from counterpoint.apps.review.export import check_suffix
    from counterpoint.apps.review.intake import open_review
    from counterpoint.apps.review.store import check_reviewer

    who = check_reviewer(reviewer) if reviewer is not None else None
    for file in (export, corrected):
        if file is not None:
            check_suffix(file)
    with watching() as on_progress:
        store = open_review(folder, on_progress)
    try:
        if export or corrected:
            _export(store, folder, export, corrected, who, as_json)
        else:
            _serve(store, folder, who or check_reviewer(getpass.getuser()), port, browser, as_json)
    finally:
        store.close()


def _export(
    store: Any,
    folder: Path,
    decisions: Path | None,
    corrected: Path | None,
    reviewer: str | None,
    as_json: bool,
) -> None:
    from counterpoint.apps.review.export import export

    written = {}
    if decisions is not None:
        written["decisions"] = export(store, folder, decisions, "decisions", reviewer)
    if corrected is not None:
        written["corrected"] = export(store, folder, corrected, "corrected", reviewer)
    if as_json:
        terminal.print_json(written)
        return
    for what, found in written.items():
        terminal.out.print(
            f"{found['file']} ({what}, rows: {found['rows']})", markup=False, soft_wrap=True
        )
        if found["disputed"]:
            terminal.err.print(
                f"Rows that keep their label because reviewers disagree: {found['disputed']}; "
                "--reviewer NAME takes one person's decisions.",
                soft_wrap=True,
            )
        if found["quoted"]:
            terminal.err.print(
                f"Cells that begin like a formula and are led by an apostrophe, so that no "
                f"spreadsheet runs them: {found['quoted']}; .parquet keeps them to the letter.",
                soft_wrap=True,
            )


def _serve(
    store: Any, folder: Path, reviewer: str, port: int, browser: bool, as_json: bool
) -> None:
    from counterpoint.apps.review.queries import Filter, progress
    from counterpoint.apps.review.server import ReviewServer

    server = ReviewServer(store, folder, reviewer, port)
    counts = progress(store, reviewer, Filter())
    done = counts["accept"] + counts["keep"] + counts["other"]
    if as_json:
        terminal.print_json({"address": server.address, "reviewer": reviewer, **counts})
    else:
        terminal.out.print(server.address, markup=False, soft_wrap=True)
        terminal.err.print(
            f"{reviewer}: {done} of {counts['total']} suggestions decided. Ctrl-C stops; nothing "
            "is lost.",
            markup=False,
            soft_wrap=True,
        )
    terminal.out.file.flush()
    if browser:
        webbrowser.open(server.address)
    with suppress(KeyboardInterrupt):
        server.run()
    terminal.err.print("Stopped. Every decision is kept.")
