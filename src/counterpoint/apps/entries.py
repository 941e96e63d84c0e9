"""What is on a leaderboard: names as users write them, and the settings that reach each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from counterpoint import methods
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
        label: a floor, ``METHOD``, or ``METHOD+OBJECTIVE``.
        role: a floor, a method, or a ceiling, which is given the labels.
        method: id of the method; empty for a floor.
        arguments: arguments of the method that the label implies.
    """

    label: str
    role: Role
    method: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


def usual(data: Dataset) -> list[str]:
    """The floors, the usual methods, and with labels the ceiling, for a kind of data."""
    ceiling = (_CEILING,) if data.labelled else ()
    return [*_USUAL[data.modality], *ceiling]


def entries(names: Sequence[str], data: Dataset) -> list[Entry]:
    """Reads the names of a leaderboard's lines.

    Args:
        names: floors, ids of methods, ``METHOD+OBJECTIVE``; ``all`` for every method that applies.
        data: decides which apply.

    Raises:
        SettingError: an unknown name, a name given twice, or a method that does not apply.
    """
    spelled = [label for name in names for label in (_all(data) if name == "all" else [name])]
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


def _all(data: Dataset) -> list[str]:
    found = methods.names(data.modality)
    return [name for name in found if data.labelled or not methods.find(name).needs_labels]


def _entry(label: str, data: Dataset) -> Entry:
    floors = FLOORS[data.modality]
    if label in floors:
        return Entry(label, "floor")
    method, _, objective = label.partition("+")
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
    arguments = {"objective": objective} if objective else {}
    methods.check(method, arguments)
    return Entry(label, "ceiling" if found.needs_labels else "method", method, arguments)
