"""Which method embeds this data best: equal encoder, steps and evaluation for all of them."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import yaml

from counterpoint import data as sources
from counterpoint import encoders
from counterpoint._version import __version__
from counterpoint.apps.entries import Entry, check_settings, entries, settings_of, usual
from counterpoint.apps.evaluate import evaluate
from counterpoint.apps.fit import fit, plan, trained_first
from counterpoint.apps.floors import FLOORS, Embed
from counterpoint.apps.two_views import two_views
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.errors import CounterpointError
from counterpoint.files import check_writable, write_text
from counterpoint.probes import PROTOCOL, EvaluationProtocol
from counterpoint.progress import OnProgress, Progress
from counterpoint.training.history import History, load_history

DEFAULT_DATA = "glyphs"
DEFAULT_STEPS = {"images": 200, "text": 40}
DEFAULT_BATCH = {"images": 256, "text": 64}
CURVE_POINTS = 200


@dataclass
class Comparison:
    """What a comparison found, and where it was written.

    Attributes:
        results: the content of ``results.json``.
        directory: folder of the run.
        interrupted: whether it was stopped early; ``results`` then hold what was done.
    """

    results: dict[str, Any]
    directory: Path
    interrupted: bool = False


@dataclass(frozen=True)
class Conditions:
    """What is equal for every line: data, encoder, evaluation, folder, and who is told."""

    data: Dataset
    encoder: str | None
    seed: int
    protocol: EvaluationProtocol
    directory: Path
    report: OnProgress

    def fresh_encoder(self) -> Encoder:
        """The encoder with the weights that every method starts from."""
        torch.manual_seed(self.seed)
        data = self.data
        return encoders.build(
            self.encoder, modality=data.modality, channels=data.channels, size=data.size
        )


def compare(
    methods: Sequence[str] | None = None,
    data: Dataset | str | Path = DEFAULT_DATA,
    *,
    text: str | None = None,
    label: str | None = None,
    size: int | None = None,
    limit: int | None = None,
    encoder: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    protocol: EvaluationProtocol = PROTOCOL,
    command: str = "",
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Trains several methods on one data set and evaluates them alike.

    Every method starts from the same weights of the same encoder, sees the same samples in the
    same order, and is evaluated under one protocol on held-out samples. ``results.json`` is
    written anew after each, so that nothing done is lost.

    Args:
        methods: ids of methods, ``METHOD+OBJECTIVE`` for a method with another objective, ``all``,
            and the floors: ``untrained`` and ``pixels`` for images, ``pretrained`` and ``words``
            for text. By default the floors, the usual methods and, with labels, supcon.
        data: a data set, a built-in name or a path, see `counterpoint.data.load`.
        text, label, size, limit: of `counterpoint.data.load`.
        encoder: name of the encoder; the default of this kind of data if not given.
        epochs: passes over the training data.
        steps: optimiser steps, instead of ``epochs``; 200 for images and 40 for text by default.
        batch_size: samples a step; 256 for images and 64 for text by default, less for small data.
        seed: of data order, views and initial weights.
        out: folder of the run; ``runs/<time>-compare`` if not given.
        settings: arguments of methods and training settings by name, for every method that knows
            them; ``METHOD.NAME`` for one method alone.
        protocol: how embeddings are evaluated.
        command: the command line, for the report.
        on_progress: told how far it is.

    Raises:
        SettingError: unknown method, setting or encoder, or a folder that cannot be written.
        DataError: unusable data.
    """
    given = dict(settings or {})
    loaded = (
        data
        if isinstance(data, Dataset)
        else sources.load(data, text=text, label=label, size=size, limit=limit)
    )
    lines = entries(methods or usual(loaded), loaded)
    check_settings(lines, given)
    common = {"seed": seed, **_budget(loaded, epochs, steps, batch_size)}
    values = {e.label: {**common, **settings_of(e, given)} for e in lines if e.method}
    for entry in lines:
        if entry.method:
            plan(entry.method, values[entry.label])
    directory = Path(out) if out else Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-compare"
    conditions = Conditions(
        loaded, encoder, seed, protocol, directory, on_progress or (lambda event: None)
    )
    built = conditions.fresh_encoder().config["name"]
    check_writable(directory)
    config = {
        "data": loaded.name,
        "methods": [entry.label for entry in lines],
        "encoder": built,
        **_given(text=text, label=label, size=size, limit=limit),
        **common,
        **({"settings": given} if given else {}),
    }
    write_text(directory / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    head = {
        "protocol": protocol.describe(),
        "data": loaded.describe(),
        "command": command,
        "config": config,
        "version": __version__,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    return _run(lines, values, conditions, Comparison({**head, "rows": []}, directory))


def _run(
    lines: Sequence[Entry],
    values: Mapping[str, dict[str, Any]],
    conditions: Conditions,
    comparison: Comparison,
) -> Comparison:
    rows = comparison.results["rows"]
    _save(comparison)
    try:
        for number, entry in enumerate(lines):
            conditions.report(Progress("compare", number, len(lines), entry.label))
            rows.append(_row(entry, values.get(entry.label, {}), conditions))
            _save(comparison)
    except KeyboardInterrupt:
        comparison.interrupted = True
    conditions.report(Progress("compare", len(rows), len(lines)))
    return comparison


def _row(entry: Entry, values: dict[str, Any], conditions: Conditions) -> dict[str, Any]:
    row: dict[str, Any] = {"method": entry.label, "role": entry.role}
    try:
        if entry.method:
            row["idea"] = entry.idea
            embed, trained = _trained(entry, values, conditions)
        else:
            floor = FLOORS[conditions.data.modality][entry.label]
            embed, trained = floor(conditions.fresh_encoder(), conditions.data), _UNTRAINED
        conditions.report(Progress(f"evaluate {entry.label}", 0, 1))
        measured = _evaluated(embed, conditions)
        conditions.report(Progress(f"evaluate {entry.label}", 1, 1))
    except CounterpointError as error:
        return {**row, **_UNMEASURED, **_UNTRAINED, "error": str(error)}
    except Exception as error:
        file = conditions.directory / entry.folder / "error.txt"
        write_text(file, traceback.format_exc())
        said = f"{type(error).__name__}: {error} (details in {file})"
        return {**row, **_UNMEASURED, **_UNTRAINED, "error": said}
    return {**row, **measured, **trained}


_UNMEASURED: dict[str, Any] = {
    "probes": dict.fromkeys(("knn", "linear", "naive_bayes")),
    "geometry": dict.fromkeys(("alignment", "uniformity", "tolerance", "effective_rank")),
}
_UNTRAINED: dict[str, Any] = dict.fromkeys(("loss", "seconds", "peak_mb", "samples_per_second"))


def _trained(
    entry: Entry, values: dict[str, Any], conditions: Conditions
) -> tuple[Embed, dict[str, Any]]:
    def relay(event: Progress) -> None:
        conditions.report(replace(event, stage=f"train {entry.label}"))

    folder = conditions.directory / entry.folder
    arguments = plan(entry.method, values).arguments
    first = trained_first(
        entry.method,
        arguments,
        conditions.data,
        conditions.directory,
        seed=conditions.seed,
        on_progress=conditions.report,
    )
    model = fit(
        entry.method,
        conditions.data,
        encoder=conditions.encoder,
        out=folder,
        on_progress=relay,
        **{**values, **first},
    )
    history = load_history(folder)
    return model.embed, {
        "loss": history.final_loss,
        "seconds": history.seconds,
        "peak_mb": history.peak_mb,
        "samples_per_second": history.samples_per_second,
        "history": _curve(history),
        "course": history.course,
        "warnings": history.warnings,
    }


def _curve(history: History) -> dict[str, list[float]]:
    stride = -(-len(history.loss) // CURVE_POINTS)
    steps = range(0, len(history.loss), max(1, stride))
    return {"step": list(steps), "loss": [history.loss[i] for i in steps]}


def _evaluated(embed: Embed, conditions: Conditions) -> dict[str, Any]:
    data = conditions.data
    found = evaluate(
        embed(data.train.items),
        data.train.labels,
        embed(data.test.items),
        data.test.labels,
        views=two_views(embed, data, conditions.protocol.seed),
        protocol=conditions.protocol,
    )
    return {key: found[key] for key in ("probes", "geometry", "curves", "reasons")}


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _budget(
    data: Dataset, epochs: int | None, steps: int | None, batch_size: int | None
) -> dict[str, int]:
    batch = batch_size or max(2, min(DEFAULT_BATCH[data.modality], len(data.train) // 2))
    if epochs is not None:
        return {"batch_size": batch, "epochs": epochs, **({"steps": steps} if steps else {})}
    return {"batch_size": batch, "steps": steps or DEFAULT_STEPS[data.modality]}


def _save(comparison: Comparison) -> None:
    text = json.dumps(comparison.results, indent=2, allow_nan=False)
    write_text(comparison.directory / "results.json", text + "\n")
