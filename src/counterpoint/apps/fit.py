"""Trains one method on data and hands back the model."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.apps.model import Model
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.errors import DataError, SettingError, unknown_name
from counterpoint.files import check_writable, write_text
from counterpoint.progress import OnProgress
from counterpoint.training import TrainSettings, train
from counterpoint.training.history import History

CONFIG = "config.yaml"
PROBLEMS = "problems.json"
_FREE_TO_CHANGE = (
    "accelerator",
    "workers",
    "checkpoint_every",
    "log_every",
    "tensorboard",
    "wandb",
)
"""Settings that a resumed run may have otherwise: its numbers stay the same."""


@dataclass(frozen=True)
class Plan:
    """What a flat set of names and values means for one method.

    Attributes:
        method: its id.
        arguments: every hyper-parameter of the method.
        settings: how it is trained.
    """

    method: str
    arguments: dict[str, Any]
    settings: TrainSettings

    def flat(self) -> dict[str, Any]:
        """All names and values in one mapping, as in YAML."""
        return {**self.arguments, **self.settings.model_dump()}


def plan(method: str, values: Mapping[str, Any]) -> Plan:
    """Sorts names into arguments of the method and training settings.

    Args:
        method: id of the method.
        values: by name, as in Python, YAML and ``--set``.

    Raises:
        SettingError: unknown method, or a name, type or range that is wrong.
    """
    own = {argument.name for argument in methods.arguments(method)}
    known = own | set(TrainSettings.model_fields)
    for name in values:
        if name not in known:
            raise unknown_name(f"setting of {method}:", name, known)
    return Plan(
        method,
        methods.check(method, {k: v for k, v in values.items() if k in own}),
        TrainSettings.of(**{k: v for k, v in values.items() if k not in own}),
    )


def fit(
    method: str,
    data: Dataset | str | Path,
    *,
    encoder: Encoder | str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    text: str | None = None,
    label: str | None = None,
    size: int | None = None,
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> Model:
    """Trains a method and returns the model, which is also saved in ``out/model``.

    ``out`` receives ``config.yaml`` (everything resolved), ``problems.json`` (items that could not
    be used, or are odd), ``metrics.csv``, ``history.json``, ``checkpoints/`` and ``model/``.

    Args:
        method: id of a method, see `counterpoint.methods.names`.
        data: a data set, the name of a built-in one, or a path, see `counterpoint.data.load`.
        encoder: an encoder, its name, or a mapping of ``name`` and options as of
            `counterpoint.encoders.build`; None takes the default of this kind of data.
        out: folder of the run; ``runs/<time>-<method>`` if not given.
        resume: continues the run in ``out``; settings that are not given come from there, and
            given ones must agree.
        text, label, size: of `counterpoint.data.load`.
        on_progress: told how far the run is.
        **settings: arguments of the method and names of
            `counterpoint.training.TrainSettings`, such as ``objective``, ``epochs``, ``seed``.

    Raises:
        SettingError: a wrong name, type or range, or ``out`` cannot be written; before training.
        DataError: unusable data, or a loss that is not a number.
        Interrupted: Ctrl-C (a ``KeyboardInterrupt``); a checkpoint was written first.
    """
    if resume and out is None:
        raise SettingError("resume=True needs out=, the folder of the run to go on with.")
    folder = Path(out) if out is not None else _new_folder(method)
    earlier = _earlier(folder, method) if resume else {}
    planned = plan(method, {**_settings_of(earlier), **settings})
    if not isinstance(data, Dataset):
        data = sources.load(data, text=text, label=label, size=size)
    torch.manual_seed(planned.settings.seed)
    chosen = encoder if encoder is not None else earlier.get("encoder")
    built = _encoder(chosen, data)
    planned = Plan(method, planned.arguments, planned.settings.resolved(data.modality))
    config = {
        "method": method,
        "data": data.name,
        "encoder": _encoder_config(built, chosen),
        **{k: v for k, v in {"text": text, "label": label, "size": size}.items() if v},
        **planned.flat(),
    }
    if earlier:
        _check_same(earlier, config, folder)
    whole = methods.build(method, built, **planned.arguments)
    check_writable(folder)
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    write_text(folder / PROBLEMS, json.dumps(data.describe()["problems"], indent=1) + "\n")
    first = trained_first(
        method, planned.arguments, data, folder, seed=planned.settings.seed, on_progress=on_progress
    )
    if first:
        whole = methods.build(method, built, **{**planned.arguments, **first})
    history = train(whole, data, planned.settings, folder, resume=resume, on_progress=on_progress)
    model = Model(built, method=whole, about=_about(planned, data, history))
    model.save(folder / "model")
    return model


def trained_first(
    method: str,
    arguments: Mapping[str, Any],
    data: Dataset,
    folder: Path,
    *,
    seed: int,
    on_progress: OnProgress | None = None,
) -> dict[str, str]:
    """Trains the models that a method needs and that no argument names.

    A run in ``folder/ARGUMENT`` each, which goes on where it was; random numbers drawn here are not
    missed elsewhere.

    Args:
        method: id of the method.
        arguments: every hyper-parameter of it.
        data: what they are trained on.
        folder: where their runs go.
        seed: of their runs.
        on_progress: told how far they are.

    Returns:
        Folders of their runs, by argument.
    """
    made = {}
    for argument, first in methods.find(method).trained_first(arguments).items():
        if arguments[argument] is not None:
            continue
        out = folder / argument
        resume = (out / CONFIG).is_file()
        with torch.random.fork_rng():
            fit(
                first,
                data,
                out=out,
                resume=resume,
                on_progress=on_progress,
                seed=seed,
                **_short(len(data.train)),
            )
        made[argument] = str(out)
    return made


def _short(samples: int) -> dict[str, Any]:
    """A budget of a few minutes, and of fewer passes over many samples."""
    batch = max(2, min(64, samples))
    return {"batch_size": batch, "steps": min(1000, 40 * -(-samples // batch))}


def _new_folder(method: str) -> Path:
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{method}"


def _encoder(chosen: Encoder | str | Mapping[str, Any] | None, data: Dataset) -> Encoder:
    if isinstance(chosen, Encoder):
        return chosen
    options = dict(chosen) if isinstance(chosen, Mapping) else {"name": chosen}
    name = options.pop("name", None)
    return encoders.build(
        name, modality=data.modality, channels=data.channels, size=data.size, **options
    )


def _encoder_config(built: Encoder, chosen: Any) -> dict[str, Any]:
    """Name and options, with where its weights came from if that was said."""
    given = chosen if isinstance(chosen, Mapping) else {}
    resolved = {k: v for k, v in built.config.items() if k not in ("modality", "channels", "size")}
    return {**resolved, **given}


def _earlier(folder: Path, method: str) -> dict[str, Any]:
    file = folder / CONFIG
    if not file.is_file():
        raise DataError(f"There is no run to resume in {folder}: {CONFIG} is missing.")
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    if config.get("method") != method:
        raise SettingError(f"{folder} holds a run of {config.get('method')}, not of {method}.")
    return config


def _settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    outside = ("method", "data", "encoder", "text", "label", "size")
    return {key: value for key, value in config.items() if key not in outside}


def _check_same(earlier: Mapping[str, Any], config: Mapping[str, Any], folder: Path) -> None:
    changed = [
        f"{key}={config.get(key)!r} (was {earlier.get(key)!r})"
        for key in config
        if key not in _FREE_TO_CHANGE and config.get(key) != earlier.get(key)
    ]
    if changed:
        raise SettingError(
            f"The run in {folder} cannot be resumed with other settings: {', '.join(changed)}. "
            f"Leave them out, or start a new run in another folder."
        )


_NOT_RESULTS = ("loss", "parts", "monitor", "course")


def _about(planned: Plan, data: Dataset, history: History) -> dict[str, Any]:
    described = data.describe()
    described["problems"] = len(described["problems"])
    return {
        "method": planned.method,
        "arguments": planned.arguments,
        "settings": planned.settings.model_dump(),
        "data": described,
        "results": {
            "final_loss": history.final_loss,
            **{k: v for k, v in asdict(history).items() if k not in _NOT_RESULTS},
        },
        "course": history.course,
    }
