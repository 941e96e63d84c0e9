"""The results of a comparison, read with every part optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from counterpoint.report import numbers
from counterpoint.report.noise import indistinguishable

Role = Literal["method", "floor", "ceiling"]
ROLES: tuple[Role, ...] = ("method", "ceiling", "floor")


@dataclass(frozen=True)
class Column:
    """One measured quantity of a row.

    Attributes:
        key: name in the results.
        group: key of the mapping it lies in; empty at the top of a row.
        title: what readers see.
        show: writes a value.
        better: which end is better; None where neither is by itself.
        about: one sentence on what it says.
    """

    key: str
    group: str
    title: str
    show: Callable[[float], str]
    better: Literal["higher", "lower"] | None
    about: str


PROBES = (
    Column(
        "knn",
        "probes",
        "kNN",
        numbers.percent,
        "higher",
        "Share of test samples whose nearest training samples vote for the right class.",
    ),
    Column(
        "linear",
        "probes",
        "linear",
        numbers.percent,
        "higher",
        "Test accuracy of a logistic regression on the frozen embeddings.",
    ),
    Column(
        "naive_bayes",
        "probes",
        "naive Bayes",
        numbers.percent,
        "higher",
        "Test accuracy of Gaussian naive Bayes with one shared diagonal covariance.",
    ),
)
GEOMETRY = (
    Column(
        "alignment",
        "geometry",
        "alignment",
        numbers.decimal,
        None,
        "Mean squared distance of two views of a sample. Low is good, "
        "unless everything has collapsed onto one point.",
    ),
    Column(
        "uniformity",
        "geometry",
        "uniformity",
        numbers.decimal,
        None,
        "How evenly the embeddings cover the sphere; more negative is more even.",
    ),
    Column(
        "tolerance",
        "geometry",
        "tolerance",
        numbers.decimal,
        None,
        "Mean similarity of samples of one class; a collapsed space has the highest.",
    ),
    Column(
        "effective_rank",
        "geometry",
        "eff. rank",
        lambda value: numbers.decimal(value, 1),
        None,
        "How many directions the embeddings really use.",
    ),
)
TRAINING = (
    Column(
        "loss",
        "",
        "loss",
        lambda value: numbers.decimal(value, 3),
        None,
        "Last training loss. Different objectives are on different scales: do not compare across.",
    ),
    Column("seconds", "", "time", numbers.duration, "lower", "Wall-clock time of training."),
    Column("peak_mb", "", "memory", numbers.megabytes, "lower", "Peak memory while training."),
    Column(
        "samples_per_second",
        "",
        "samples/s",
        numbers.count,
        "higher",
        "Training samples a second.",
    ),
)
GROUPS = (("Probes", PROBES), ("Geometry", GEOMETRY), ("Training", TRAINING))


@dataclass(frozen=True)
class Row:
    """One compared thing.

    Attributes:
        series: its place among the rows of its role, which fixes its colour and symbol.
        raw: the row as it stands in the results.
    """

    label: str
    role: Role
    series: int
    raw: Mapping[str, Any]

    @property
    def error(self) -> str:
        return str(self.raw.get("error") or "")

    def value(self, column: Column) -> float | None:
        """The finite value of a column, or None."""
        return numbers.finite(self._found(column))

    def missing(self, column: Column, labelled: bool) -> str:
        """Why a value is not there, in words."""
        if self.error:
            return f"failed: {self.error}"
        if self._found(column) is not None:
            return f"not a finite number: {self._found(column)}"
        if reason := mapping(self.raw, "reasons").get(column.key):
            return str(reason)
        if column in PROBES and not labelled:
            return "the data has no labels"
        if column in TRAINING and self.role == "floor":
            return "nothing is trained here"
        return "not measured"

    def _found(self, column: Column) -> object:
        holder = mapping(self.raw, column.group) if column.group else self.raw
        return holder.get(column.key)


@dataclass(frozen=True)
class Board:
    """Every row of a comparison and what is known about the test behind it."""

    rows: tuple[Row, ...]
    test: int
    labelled: bool

    def of(self, *roles: Role) -> list[Row]:
        """Rows of the given roles in that order, within a role best first by the leading probe."""
        lead = self.lead
        rows = [row for row in self.rows if row.role in roles]
        return sorted(
            rows,
            key=lambda row: (roles.index(row.role), _descending(row.value(lead) if lead else 0.0)),
        )

    @property
    def lead(self) -> Column | None:
        """The probe that ranks: the first one measured for any method, else for any row."""
        for rows in ([r for r in self.rows if r.role == "method"], self.rows):
            for column in PROBES:
                if any(row.value(column) is not None for row in rows):
                    return column
        return None

    def best(self, column: Column, *roles: Role) -> Row | None:
        """The row with the best value among the given roles (methods if none is given)."""
        rows = [r for r in self.of(*(roles or ("method",))) if r.value(column) is not None]
        if not rows or column.better is None:
            return None
        sign = 1 if column.better == "higher" else -1
        return max(rows, key=lambda row: sign * (row.value(column) or 0.0))

    def tied(self, column: Column, first: Row, second: Row) -> bool:
        """Whether the test set cannot tell two rows apart by this probe."""
        p, q = first.value(column), second.value(column)
        if column not in PROBES or p is None or q is None or self.test < 1:
            return False
        return indistinguishable(p, q, self.test)

    def rivals(self, column: Column) -> list[Row]:
        """Methods that the test set cannot tell from the best one."""
        best = self.best(column)
        if best is None:
            return []
        return [r for r in self.of("method") if r is not best and self.tied(column, best, r)]


def read(results: Mapping[str, Any]) -> Board:
    """Reads a results dictionary; whatever is absent stays absent."""
    data = mapping(results, "data")
    counts = dict.fromkeys(ROLES, 0)
    rows = []
    for raw in sequence(results, "rows"):
        role: Role = raw.get("role") if raw.get("role") in ROLES else "method"
        label = str(raw.get("label") or raw.get("method") or "unnamed")
        rows.append(Row(label, role, counts[role], raw))
        counts[role] += 1
    has_probe = any(row.value(column) is not None for row in rows for column in PROBES)
    return Board(
        rows=tuple(rows),
        test=int(numbers.finite(data.get("test")) or 0),
        labelled=has_probe or bool(data.get("classes", 1)),
    )


def mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under ``key``, empty if absent or something else."""
    found = holder.get(key)
    return found if isinstance(found, Mapping) else {}


def sequence(holder: Mapping[str, Any], key: str) -> Sequence[Any]:
    """The list under ``key``, empty if absent or something else."""
    found = holder.get(key)
    return found if isinstance(found, Sequence) and not isinstance(found, str) else ()


def _descending(value: float | None) -> float:
    return float("inf") if value is None else -value
