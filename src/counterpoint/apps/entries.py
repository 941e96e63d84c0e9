"""What is on a leaderboard: names as users write them, and the settings that reach each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from counterpoint import methods, objectives
from counterpoint.apps import docstrings
from counterpoint.apps.floors import FLOORS
from counterpoint.data.dataset import Dataset
from counterpoint.errors import SettingError, unknown_name
from counterpoint.training import TrainSettings

Role = Literal["floor", "method", "ceiling"]

_USUAL = {
    "images": ("untrained", "pixels", "simclr", "simclr+dcl", "moco"),
    "text": ("pretrained", "words", "simcse"),
}
_CEILING = "supcon"


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard.

    Attributes:
        label: a floor, ``METHOD``, ``METHOD+OBJECTIVE``, and behind a method settings of this line
            alone: ``METHOD:NAME=VALUE:NAME=VALUE``.
        role: a floor, a method, or a ceiling, which is given the labels.
        method: id of the method; empty for a floor.
        arguments: arguments of the method that the label implies.
    """

    label: str
    role: Role
    method: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def idea(self) -> str:
        """What a method does, and with which objective if it is not its own, in a sentence each."""
        said = [docstrings.read(methods.find(self.method)).summary]
        if objective := self.arguments.get("objective"):
            said.append(
                f"Objective: {docstrings.read(objectives.find(objective).function).summary}"
            )
        return " ".join(said).replace("``", "")

    @property
    def folder(self) -> str:
        """The label as the name of a folder."""
        return re.sub(r"[^\w.+=-]", "_", self.label)


def usual(data: Dataset) -> list[str]:
    """The floors, the usual methods, and with labels the ceiling, for a kind of data."""
    ceiling = (_CEILING,) if data.labelled else ()
    return [*_USUAL[data.modality], *ceiling]


def entries(names: Sequence[str], data: Dataset) -> list[Entry]:
    """Reads the names of a leaderboard's lines.

    Args:
        names: floors, ids of methods, ``METHOD+OBJECTIVE``, either with ``:NAME=VALUE`` behind it;
            ``all`` for the floors and every method that applies, ``all-image`` and ``all-text``
            likewise and refused for other data.
        data: decides which apply.

    Raises:
        SettingError: an unknown name, a name given twice, or a method that does not apply.
    """
    spelled = [label for name in names for label in _meant(name, data)]
    for label in spelled:
        if spelled.count(label) > 1:
            raise SettingError(f"{label!r} is named twice; each line of a comparison is one run.")
    return [_entry(label, data) for label in spelled]


def settings_of(entry: Entry, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that concern one method: shared ones it knows, and ``METHOD.NAME`` ones."""
    known = _known(entry)
    shared = {key: value for key, value in settings.items() if key in known}
    own = {
        key.removeprefix(f"{entry.label}."): value
        for key, value in settings.items()
        if key.startswith(f"{entry.label}.")
    }
    return {**shared, **entry.arguments, **own}


def check_settings(lines: Sequence[Entry], settings: Mapping[str, Any]) -> None:
    """Refuses a setting that reaches no method.

    Raises:
        SettingError: with the nearest names that would.
    """
    trained = [entry for entry in lines if entry.method]
    known = {name for entry in trained for name in _known(entry)}
    prefixes = tuple(f"{entry.label}." for entry in trained)
    for key in settings:
        if key not in known and not key.startswith(prefixes):
            raise unknown_name("setting", key, known)


def _known(entry: Entry) -> set[str]:
    own = {argument.name for argument in methods.arguments(entry.method)}
    return own | set(TrainSettings.model_fields)


def _meant(name: str, data: Dataset) -> list[str]:
    every, _, modality = name.partition("-")
    if every != "all":
        return [name]
    if modality not in ("", data.modality, data.modality.removesuffix("s")):
        raise SettingError(f"{name!r} does not apply: {data.name} holds {data.modality}.")
    return [*FLOORS[data.modality], *_all(data)]


def _all(data: Dataset) -> list[str]:
    found = methods.names(data.modality)
    return [name for name in found if data.labelled or not methods.find(name).needs_labels]


def _entry(label: str, data: Dataset) -> Entry:
    floors = FLOORS[data.modality]
    if label in floors:
        return Entry(label, "floor")
    named, *own = label.split(":")
    method, _, objective = named.partition("+")
    known = methods.names()
    if method not in known:
        raise unknown_name("method", method, [*known, *floors])
    found = methods.find(method)
    if data.modality not in found.modalities:
        raise SettingError(
            f"{method} takes {' or '.join(found.modalities)} and {data.name} holds "
            f"{data.modality}. Methods that apply: {', '.join([*floors, *_all(data)])}."
        )
    if found.needs_labels and not data.labelled:
        raise SettingError(f"{method} needs labels and {data.name} has none; leave it out.")
    arguments = dict(_setting(label, text) for text in own)
    if objective:
        arguments["objective"] = objective
    entry = Entry(label, "ceiling" if found.needs_labels else "method", method, arguments)
    for name in arguments:
        if name not in _known(entry):
            raise unknown_name("setting", name, _known(entry))
    hyper = {argument.name for argument in methods.arguments(method)}
    methods.check(method, {name: value for name, value in arguments.items() if name in hyper})
    return entry


def _setting(label: str, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SettingError(f"{label!r}: {text!r} is no setting; write METHOD:NAME=VALUE.")
    return name, yaml.safe_load(value)
