"""``counterpoint bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from counterpoint.cli.options import AsJson
from counterpoint.cli.terminal import out, print_json, table
from counterpoint.cli.watch import watching


def bench(
    objectives: Annotated[
        list[str] | None,
        typer.Argument(help="nt_xent, dcl, supcon, info_nce, clip, cwcl, contrast."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Embeddings in a batch.")] = 4096,
    width: Annotated[int, typer.Option(help="Numbers in an embedding.")] = 128,
    rounds: Annotated[int, typer.Option(help="Times each is run.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Time objectives on this machine against the bare matrix products."""
    from counterpoint.apps.bench import bench as run

    with watching() as on_progress:
        found = run(
            objectives or (), rows=rows, width=width, rounds=rounds, on_progress=on_progress
        )
    if as_json:
        print_json(found)
        return
    lines = [
        [name, f"{1000 * cost['seconds']:.1f} ms", f"{cost['over_products']:.2f}"]
        for name, cost in found["objectives"].items()
    ]
    lines.append(["three dense products", f"{1000 * found['products']:.1f} ms", "1.00"])
    out.print(table(("forward and backward", "time", "over products"), lines))
    out.print(f"{rows} rows of {width} numbers, float32, {found['threads']} threads.")
