"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from counterpoint.cli.guard import guarded
from counterpoint.errors import SettingError, unknown_name

_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

Data = Annotated[
    str,
    typer.Option(
        help="A built-in name, an image folder, or a CSV, JSONL or Parquet file.", metavar="DATA"
    ),
]

TextColumn = Annotated[
    str | None, typer.Option("--text", help="Column of the texts in a table.", metavar="COLUMN")
]

LabelColumn = Annotated[
    str | None, typer.Option("--label", help="Column of the labels in a table.", metavar="COLUMN")
]

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A setting of the method or the run; may be repeated.", metavar="NAME=VALUE"
    ),
]


@guarded
def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    if path is None:
        return None
    values = _load_mapping(path)
    parameters = {parameter.name: parameter for parameter in context.command.params}
    flags = {
        flag.lstrip("-"): parameter.name
        for parameter in context.command.params
        for flag in parameter.opts
    }
    defaults: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for key, value in values.items():
        name = flags.get(key.replace("_", "-"), key.replace("-", "_"))
        if key in ("set", "settings"):
            more |= _mapping(value, f"{key} in {path}")
        elif name not in parameters:
            if "set" not in flags:
                raise unknown_name(f"key in {path}", key, {*flags} - {"config", "help"})
            more[name] = value
        elif getattr(parameters[name], "multiple", False):
            defaults[name] = list(value) if isinstance(value, list) else [value]
        else:
            defaults[name] = json.dumps(value) if isinstance(value, dict) else value
    context.default_map = {name: value for name, value in defaults.items() if value is not None}
    context.meta["settings"] = more
    return path


def _load_mapping(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"Cannot read {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise SettingError(f"{path} is not YAML: {error}") from error
    return _mapping(values, str(path))


def _mapping(values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise SettingError(f"{where} must hold names and values, such as 'epochs: 100'.")
    return {str(key): _numbers(value) for key, value in values.items()}


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file of options and settings, such as a run's config.yaml; flags win.",
        metavar="FILE.yaml",
        is_eager=True,
        callback=_read_config,
    ),
]


def settings(
    context: typer.Context, pairs: list[str] | None, flags: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of the configuration file, overridden by flags, and those by ``--set``.

    Args:
        context: of the running verb.
        pairs: what ``--set`` was given.
        flags: further settings that have flags of their own; None among them means not given.

    Raises:
        SettingError: a pair is not of the form ``name=value``.
    """
    values: dict[str, Any] = dict(context.meta.get("settings", {}))
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise SettingError(f"--set takes name=value, such as temperature=0.2; got {pair!r}.")
        values[name.strip().replace("-", "_")] = typed(text, "--set")
    return values


def typed(text: str, flag: str) -> Any:
    """A word, number, truth value, list or mapping, as YAML reads it.

    Raises:
        SettingError: brackets or quotes that do not close.
    """
    try:
        return _numbers(yaml.safe_load(text))
    except yaml.YAMLError as error:
        problem = str(error).splitlines()[0]
        raise SettingError(f"{flag} cannot read the value {text!r}: {problem}.") from error


def _numbers(value: Any) -> Any:
    """Reads ``1e-3`` as a number, which YAML 1.1 takes for a word."""
    if isinstance(value, Mapping):
        return {str(key): _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else value
    return value


def words(values: list[str] | None) -> list[str] | None:
    """Splits ``["a,b", "c"]`` into ``["a", "b", "c"]``; None stays None."""
    if values is None:
        return None
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def run_folder(name: str) -> Path:
    """A new folder under ``runs/`` that sorts by time."""
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
