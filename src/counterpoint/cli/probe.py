"""``counterpoint probe``."""

from __future__ import annotations

from counterpoint.cli import terminal
from counterpoint.cli.models import Limit, ModelFolder, open_both
from counterpoint.cli.options import AsJson, Config, Data, LabelColumn, TextColumn
from counterpoint.cli.watch import watching


def probe(
    model: ModelFolder,
    data: Data,
    text: TextColumn = None,
    label: LabelColumn = None,
    limit: Limit = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Score the embeddings of a trained model on labelled data, under the named protocol."""
    from counterpoint.apps.evaluate import evaluate
    from counterpoint.apps.two_views import two_views

    opened, samples = open_both(model, data, text, label, limit)
    train, test = samples.train, samples.test
    with watching() as on_progress:
        z, test_z = (opened.embed(part, progress=on_progress) for part in (train, test))
    found = evaluate(z, train.labels, test_z, test.labels, views=two_views(opened.embed, samples))
    if as_json:
        terminal.print_json({"data": samples.describe(), **found})
        return
    for kind in ("probes", "geometry"):
        rows = [
            [name, value, found["reasons"].get(name, "")] for name, value in found[kind].items()
        ]
        terminal.out.print(terminal.table((kind, "value", ""), rows))
    protocol = found["protocol"]
    terminal.err.print(f"Protocol {protocol['name']} {protocol['version']}, data {samples.name}.")
