"""What is known of objectives besides their code: advice, formula, example, what equals what.

It is kept in ``records.toml`` beside this file, from which pages, `counterpoint show` and tests
read it.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from counterpoint.errors import unknown_name


@dataclass(frozen=True)
class Relation:
    """Two expressions that are equal.

    Attributes:
        of: the objective at which it is stated.
        says: under which circumstances, in words.
        this: an expression of torch, `counterpoint.objectives.functional` and `inputs`.
        that: what it equals.
        compare: ``"gradient"`` where the values differ by a constant.
        within: relative tolerance in float64; large where the relation is a limit.
    """

    of: str
    says: str
    this: str
    that: str
    compare: Literal["value and gradient", "gradient"] = "value and gradient"
    within: float = 1e-9

    @property
    def names(self) -> set[str]:
        """The names both expressions use."""
        trees = [ast.parse(text, mode="eval") for text in (self.this, self.that)]
        return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


@dataclass(frozen=True)
class Data:
    """What one may have.

    Attributes:
        have: in words.
        start: the objective to start with.
    """

    have: str
    start: str


@dataclass(frozen=True)
class Record:
    """What is written by hand about an objective.

    Attributes:
        data: what one has, a key of `kinds_of_data`.
        advice: one line for the overview.
        when: when to use it.
        unless: when not.
        formula: LaTeX of the default form.
        example: code that runs by itself.
        relations: those stated at this objective; `relations_of` has those of others too.
    """

    data: str
    advice: str
    when: str
    unless: str
    formula: str
    example: str
    relations: tuple[Relation, ...] = ()


@cache
def _tables() -> dict[str, Any]:
    text = files("counterpoint.objectives").joinpath("records.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def kinds_of_data() -> dict[str, Data]:
    """What one may have, in the order of the overview."""
    return {name: Data(**table) for name, table in _tables()["data"].items()}


def inputs() -> dict[str, Mapping[str, str]]:
    """The names that relations use: ``"learnt"`` (with gradients) and ``"fixed"`` ones, as code."""
    return dict(_tables()["inputs"])


@cache
def records() -> dict[str, Record]:
    """The record of every objective that has one, in the order of the file."""
    return {
        name: Record(**{**table, "relations": _relations(name, table)})
        for name, table in _tables().items()
        if name not in ("data", "inputs")
    }


def _relations(name: str, table: Mapping[str, Any]) -> tuple[Relation, ...]:
    return tuple(Relation(name, **relation) for relation in table.get("relations", ()))


def record(name: str) -> Record:
    """The record of an objective.

    Raises:
        SettingError: there is none; the message offers the nearest.
    """
    if name not in records():
        raise unknown_name("objective", name, records())
    return records()[name]


def relations_of(name: str) -> Iterator[Relation]:
    """Every relation that an objective takes part in, its own first."""
    yield from record(name).relations
    for other, found in records().items():
        if other != name:
            yield from (relation for relation in found.relations if name in relation.names)
