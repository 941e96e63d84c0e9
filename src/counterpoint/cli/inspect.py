"""``counterpoint inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from counterpoint.cli import terminal
from counterpoint.cli.models import Limit, ModelFolder, open_both
from counterpoint.cli.options import AsJson, Config, Data, LabelColumn, TextColumn
from counterpoint.cli.watch import watching

USUAL_TEMPERATURE = 0.1


def inspect(
    model: ModelFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("inspect.html"),
    text: TextColumn = None,
    label: LabelColumn = None,
    limit: Limit = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the space of a trained model: scores, neighbours, a map, as one HTML page."""
    from counterpoint.apps.inspect import inspect as run
    from counterpoint.apps.two_views import two_views
    from counterpoint.report import inspect_page

    opened, samples = open_both(model, data, text, label, limit)
    shown = samples.test
    with watching() as on_progress:
        z = opened.embed(shown, progress=on_progress)
    found = run(
        z,
        labels=shown.labels,
        names=shown.names,
        items=shown.items,
        views=two_views(opened.embed, samples),
        classes=samples.classes,
        name=f"{opened.about.get('method') or model.name} on {samples.name}",
        course=opened.about.get("course", ()),
        temperature=_temperature(opened.about),
    )
    inspect_page(found, out)
    if as_json:
        terminal.print_json({"page": str(out), **found})
    else:
        terminal.out.print(str(out), markup=False, soft_wrap=True)


def _temperature(about: Mapping[str, Any]) -> float:
    trained = about.get("arguments", {}).get("temperature")
    return trained if isinstance(trained, float) else USUAL_TEMPERATURE
