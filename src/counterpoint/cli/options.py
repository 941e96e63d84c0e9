"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import re
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
    for key, value in values.items():
        if key in ("set", "settings"):
            context.meta["settings"] = _mapping(value, f"{key} in {path}")
            continue
        name = flags.get(key.replace("_", "-"), key.replace("-", "_"))
        if name not in parameters:
            raise unknown_name(f"key in {path}", key, {*flags} - {"config", "help"})
        if getattr(parameters[name], "multiple", False):
            defaults[name] = list(value) if isinstance(value, list) else [value]
        else:
            defaults[name] = value
    context.default_map = defaults
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
        help="YAML file with any of these options; the command line wins.",
        metavar="FILE.yaml",
        is_eager=True,
        callback=_read_config,
    ),
]


def settings(context: typer.Context, pairs: list[str] | None) -> dict[str, Any]:
    """The settings of the configuration file, overridden by those of ``--set``.

    Raises:
        SettingError: a pair is not of the form ``name=value``.
    """
    values: dict[str, Any] = dict(context.meta.get("settings", {}))
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise SettingError(f"--set takes name=value, such as temperature=0.2; got {pair!r}.")
        values[name.strip().replace("-", "_")] = _value(text)
    return values


def _value(text: str) -> Any:
    try:
        return _numbers(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise SettingError(f"--set cannot read the value {text!r}: {error}") from error


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
