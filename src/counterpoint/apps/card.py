"""What there is to know about one system, collected from catalogue, code and claims."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import counterpoint
from counterpoint import catalog, methods
from counterpoint.apps import docstrings
from counterpoint.apps.symbolic import symbolic_forms
from counterpoint.errors import unknown_name
from counterpoint.objectives.records import inputs, kinds_of_data, record, records, relations_of
from counterpoint.objectives.registry import find


def card(id: str) -> dict[str, Any]:
    """The card of a system of the catalogue, of a method such as ``"simclr"``, or of an objective.

    Returns:
        plain values: the catalogue row with ``venue``, ``url``, ``promise`` (what the status means)
        and ``code`` (modules); ``parts``, one for each public class or function in them, see
        `describe`; ``claims``, the last result of each; ``use``, commands and lines of Python.
        Where the code has `counterpoint.objectives.preference_logic`, ``forms`` are the
        `counterpoint.apps.symbolic.symbolic_forms` of its losses.

    Raises:
        SettingError: neither the catalogue nor the methods nor the objectives have that name.
    """
    row = _row(id)
    described = [describe(thing) for name in row["code"] for thing in public(_load(name))]
    parts = [part for part in described if not _repeats_a_function(part)]
    if row["family"] == "objective":
        parts = [part for part in parts if part["name"] == row["id"]]
    found = {**row, "parts": parts, "claims": claims(id), "use": _use(row, parts)}
    if "objectives.preference_logic" in row["code"]:
        found["forms"] = symbolic_forms()
    return found


def _repeats_a_function(part: Mapping[str, Any]) -> bool:
    """Whether it is the module of an objective, which says nothing that its function does not."""
    return part["kind"] == "objective" and bool(part["class"])


def _row(id: str) -> dict[str, Any]:
    known = {entry.id: entry for entry in catalog.entries()}
    if id in known:
        entry = known[id]
        more = {"venue": entry.venue, "url": entry.url, "code": list(entry.code)}
        return {**entry.row(), **more, "promise": catalog.MEANING[entry.status]}
    objective = id.replace("-", "_")
    own = [_objective_code(objective)] if objective in records() else []
    if id not in reference_methods():
        if not own:
            raise unknown_name("system", id, [*known, *reference_methods(), *records()])
        advice = record(objective).advice
        return {"id": objective, "name": advice, "family": "objective", "code": own}
    method = methods.find(id)
    return {
        "id": id,
        "name": method.__name__,
        "family": "reference method",
        "status": "ready",
        "promise": catalog.MEANING["ready"],
        "code": [method.__module__.removeprefix("counterpoint."), *own],
    }


def _objective_code(name: str) -> str:
    return find(name).function.__module__.removeprefix("counterpoint.")


def reference_methods() -> list[str]:
    """The methods that are no row of the catalogue, such as SimCLR."""
    carried = {entry.id for entry in catalog.entries()}
    return [name for name in methods.names() if name not in carried]


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"counterpoint.{name}")


def public(module: ModuleType) -> list[Any]:
    """The classes and functions that a module defines and does not keep to itself."""
    return [
        thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
    ]


def describe(thing: type[Any] | Any) -> dict[str, Any]:
    """What the docstring and the signature of a class or function say.

    Returns:
        plain values: ``name``, ``kind`` (``"method"``, ``"objective"``, ``"probe"`` ...),
        ``module``, ``class`` (whether it is one), ``summary``, ``about``, ``arguments`` (name,
        type, default, about) and ``sections``; of an objective also ``record``, see `on_record`.
    """
    text = docstrings.read(thing)
    arguments = dict(text.arguments)
    if inspect.isclass(thing):
        arguments = docstrings.read(thing.__init__).arguments | arguments
    about = on_record(thing.__name__) if thing.__name__ in records() else None
    return ({"record": about} if about else {}) | {
        "name": thing.__name__,
        "kind": thing.__module__.split(".")[1].removesuffix("s"),
        "module": thing.__module__,
        "class": inspect.isclass(thing),
        "summary": text.summary,
        "about": text.about,
        "arguments": _arguments(thing, arguments),
        "sections": text.sections,
    }


def on_record(name: str) -> dict[str, Any]:
    """What the registry and the record say of an objective.

    Returns:
        plain values: those of `Objective` and of `Record`; ``module``, the class; ``data``, a
        heading; ``systems``, those of the catalogue made of it; ``relations`` of both sides, each
        with the ``inputs`` that it names, as code.
    """
    one, found = find(name), record(name)
    code = _objective_code(name)
    made_by = {kind: dict(names) for kind, names in inputs().items()}
    makes = made_by["learnt"] | made_by["fixed"]
    relations = [
        asdict(relation) | {"inputs": {k: v for k, v in makes.items() if k in relation.names}}
        for relation in relations_of(name)
    ]
    return asdict(found) | {
        "inputs": one.inputs,
        "across_ranks": one.across_ranks,
        "ranks": one.ranks,
        "source": one.source,
        "module": one.module and one.module.__name__,
        "data": kinds_of_data()[found.data].have,
        "systems": [entry.id for entry in catalog.entries() if code in entry.code],
        "relations": relations,
    }


def _arguments(thing: Any, about: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": _type(parameter.annotation),
            "default": None if parameter.default is parameter.empty else repr(parameter.default),
            "about": about.get(name, ""),
        }
        for name, parameter in inspect.signature(thing).parameters.items()
    ]


def _type(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def claims(id: str) -> list[dict[str, Any]]:
    """The committed results of the claims tested for a system; empty when none was run."""
    package = Path(str(files("counterpoint")))
    folders = (package / "claims" / "results", package.parents[1] / "claims" / "results")
    found = [file for folder in folders if (file := folder / f"{id}.json").is_file()]
    return [json.loads(file.read_text(encoding="utf-8")) for file in found[:1]]


def _use(row: Mapping[str, Any], parts: list[dict[str, Any]]) -> dict[str, list[str]]:
    """How each part is used from a shell and from Python."""
    shell, python = [], []
    for part in parts:
        if part["kind"] == "method":
            data = "digits" if "images" in methods.find(row["id"]).modalities else "docstrings"
            shell += [f"counterpoint fit {row['id']} --data {data}"]
            python += [f'model = cp.fit("{row["id"]}", data="{data}")']
        else:
            python += [_python(part)]
    if claims(row["id"]):
        shell += [f"counterpoint claim {row['id']} --seeds 3"]
    return {"shell": shell, "python": python}


def _python(part: Mapping[str, Any]) -> str:
    """The shortest public way to a class or function."""
    room = part["module"].split(".")[1]
    short = "objectives.functional" if room == "objectives" else room
    if room in counterpoint.__all__ and hasattr(_load(short), part["name"]):
        return f"cp.{short}.{part['name']}"
    return f"from {part['module']} import {part['name']}"
