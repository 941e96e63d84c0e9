"""``counterpoint probe``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterpoint.cli import terminal
from counterpoint.cli.models import Limit, ModelFolder, open_both
from counterpoint.cli.options import (
    AsJson,
    Config,
    Data,
    LabelColumn,
    Sets,
    TextColumn,
    settings,
)
from counterpoint.cli.watch import watching
from counterpoint.errors import SettingError

if TYPE_CHECKING:
    from counterpoint.apps.model import Model
    from counterpoint.data import Dataset


class Probe(StrEnum):
    """What is measured."""

    protocol = "protocol"
    few_shot = "few-shot"
    dense = "dense"


def probe(
    context: typer.Context,
    model: ModelFolder,
    data: Data,
    text: TextColumn = None,
    label: LabelColumn = None,
    limit: Limit = None,
    probe: Annotated[
        Probe,
        typer.Option(
            help="All numbers of the named protocol; few-shot episodes of the held-out samples; or "
            "the class of an image from every cell of its feature map."
        ),
    ] = Probe.protocol,
    sets: Sets = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Score the embeddings of a trained model on labelled data, under the named protocol."""
    from counterpoint.apps.evaluate import evaluate
    from counterpoint.apps.two_views import two_views

    values = settings(context, sets)
    if probe is Probe.protocol and values:
        raise SettingError(
            f"The protocol takes no setting, so not {', '.join(values)}; --probe few-shot and "
            "--probe dense do."
        )
    opened, samples = open_both(model, data, text, label, limit)
    if probe is not Probe.protocol:
        _other(probe, opened, samples, values, as_json)
        return
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


def _other(
    probe: Probe, model: Model, samples: Dataset, values: dict[str, Any], as_json: bool
) -> None:
    from counterpoint.apps import other_probes

    with watching() as on_progress:
        if probe is Probe.dense:
            found = other_probes.dense(model, samples, values)
        else:
            found = other_probes.few_shot(model, samples, values, on_progress)
    if as_json:
        terminal.print_json(found)
        return
    if probe is Probe.dense:
        rows = [["accuracy of a cell", found["accuracy"], ""]]
    else:
        rows = [
            [
                name,
                next(iter(found[name].values())),
                "{:.3f} to {:.3f}".format(*found[name]["ci95"]),
            ]
            for name in ("inductive", "transductive", "gain")
        ]
    terminal.out.print(terminal.table((found["probe"], "value", "95 % interval"), rows))
    terminal.err.print(
        f"Probe {found['probe']} {found['version']}, {found['settings']}, data {samples.name}."
    )
