"""``counterpoint embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from counterpoint.cli import terminal
from counterpoint.cli.models import Limit, ModelFolder, Splits, open_both
from counterpoint.cli.options import AsJson, Config, Data, LabelColumn, TextColumn
from counterpoint.cli.watch import watching


def embed(
    model: ModelFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .npz.")],
    text: TextColumn = None,
    label: LabelColumn = None,
    split: Annotated[Splits, typer.Option(help="Which samples.")] = Splits.all,
    batch_size: Annotated[int, typer.Option(help="Samples at once.", min=1)] = 256,
    limit: Limit = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Embed a data set with a trained model, one row a sample, into Parquet or npz."""
    from counterpoint.apps.embed import embed as run

    opened, samples = open_both(model, data, text, label, limit)
    with watching() as on_progress:
        written = run(
            opened,
            samples,
            out,
            which=split.value,
            batch_size=batch_size,
            on_progress=on_progress,
        )
    if as_json:
        terminal.print_json({"file": str(written)})
    else:
        terminal.out.print(str(written), markup=False, soft_wrap=True)
