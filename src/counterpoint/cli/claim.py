"""``counterpoint claim``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from counterpoint.cli import terminal
from counterpoint.cli.options import AsJson, Config, run_folder
from counterpoint.cli.watch import watching


def claim(
    id: Annotated[str, typer.Argument(help="A system whose claim has an experiment.")],
    seeds: Annotated[int, typer.Option(help="How many, at least 3.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Folder for ID.json.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Test a paper's claim again on real data: effect, 95 % interval and verdict."""
    from counterpoint import claims

    folder = out or run_folder(f"claim-{id}")
    with watching() as on_progress:
        found = claims.run(id, seeds=seeds, on_progress=on_progress, out=folder)
    if as_json:
        terminal.print_json(found)
        return
    terminal.out.print(found["claim"], markup=False)
    terminal.out.print(terminal.claim_table(found["parts"]))
    terminal.out.print(f"{found['id']}: [bold]{found['verdict']}[/]")
    terminal.err.print(f"{found['minutes']:.1f} minutes; {folder / found['id']}.json", markup=False)
