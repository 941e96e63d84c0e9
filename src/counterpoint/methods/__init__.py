"""Whole methods by name; one file under ``methods/<modality>/`` is one method."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from counterpoint.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from counterpoint.encoders.base import Encoder
    from counterpoint.methods.base import Method

__all__ = ["Argument", "arguments", "build", "check", "find", "names"]

_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Argument:
    """A hyper-parameter of a method.

    Attributes:
        name: its name in Python, YAML and on the command line.
        type: its type, as written.
        default: the default value.
        doc: what the method's docstring says about it.
    """

    name: str
    type: str
    default: Any
    doc: str


def names(modality: str | None = None) -> list[str]:
    """Ids of all methods, sorted; with ``modality`` only those that take such data.

    Without ``modality`` no method is imported.
    """
    known = sorted(_files())
    if modality is None:
        return known
    return [name for name in known if modality in find(name).modalities]


def find(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        SettingError: no method of that name.
    """
    from counterpoint.methods.base import Method

    files = _files()
    if name not in files:
        raise unknown_name("method", name, files)
    module = importlib.import_module(f"{__name__}.{files[name]}")
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise TypeError(f"{module.__name__} must hold exactly one Method, holds {len(classes)}.")
    return classes[0]


def arguments(name: str) -> list[Argument]:
    """The hyper-parameters of a method, in the order of its signature."""
    cls = find(name)
    docs = _argument_docs(inspect.getdoc(cls) or "")
    return [
        Argument(key, str(parameter.annotation), parameter.default, docs.get(key, ""))
        for key, parameter in _hyperparameters(cls).items()
    ]


def check(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Every hyper-parameter of a method: ``values`` in the right types, defaults for the rest.

    Raises:
        SettingError: a wrong name, type or range; the message says what would be right.
    """
    from pydantic import ConfigDict, ValidationError, create_model

    parameters = _hyperparameters(find(name))
    for key in values:
        if key not in parameters:
            raise unknown_name(f"argument of method {name!r}:", key, parameters)
    hints = get_type_hints(find(name).__init__, include_extras=True)
    fields: dict[str, Any] = {
        key: (hints[key], ... if parameter.default is _REQUIRED else parameter.default)
        for key, parameter in parameters.items()
    }
    model = create_model(name, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)
    try:
        return dict(model(**values))
    except ValidationError as error:
        raise SettingError(_explain(name, error)) from error


def build(name: str, encoder: Encoder, **values: Any) -> Method:
    """Makes a method around an encoder.

    Args:
        name: one of `names`.
        encoder: what turns inputs into representations.
        **values: hyper-parameters, see `arguments`.

    Raises:
        SettingError: unknown method, wrong argument name, type or range, or an encoder of a
            modality that the method does not take.
    """
    cls = find(name)
    checked = check(name, values)
    if encoder.modality not in cls.modalities:
        raise SettingError(
            f"{name} takes {' or '.join(cls.modalities)}, the encoder takes {encoder.modality}. "
            f"Methods for {encoder.modality}: {', '.join(names(encoder.modality))}."
        )
    return cls(encoder, **checked)


def _files() -> dict[str, str]:
    root = Path(__file__).parent
    return {
        path.stem.replace("_", "-"): f"{path.parent.name}.{path.stem}"
        for path in root.glob("*/*.py")
        if not path.stem.startswith("_")
    }


def _hyperparameters(cls: type[Method]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(cls.__init__).parameters
    return {key: p for key, p in parameters.items() if key not in ("self", "encoder")}


def _argument_docs(doc: str) -> dict[str, str]:
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", doc, re.MULTILINE)
    if section is None:
        return {}
    entries = re.findall(r"^ {4}(\w+): ((?:.*)(?:\n {8}.*)*)", section.group(1), re.MULTILINE)
    return {key: " ".join(text.split()) for key, text in entries}


def _explain(name: str, error: Any) -> str:
    known = {a.name: f"{a.name}: {a.type} = {a.default!r}" for a in arguments(name)}
    problems = [
        f"{key}={problem['input']!r}: {problem['msg']} ({known[key]})"
        for problem in error.errors()
        for key in problem["loc"][:1]
    ]
    return f"Wrong argument of method {name!r}: {'; '.join(problems)}."
