"""From rows of text and class to a data set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from counterpoint.data.classes import class_name, number_classes
from counterpoint.data.dataset import Dataset, Problem, Split
from counterpoint.data.splits import described, stratified
from counterpoint.errors import DataError

BROUGHT = "the split that the data bring"


@dataclass(frozen=True)
class Row:
    """One sample of text.

    Attributes:
        name: where it stands ("line 7").
        text: as it was read; anything but text is written out.
        label: its class, of any type; None where missing.
        partner: the other half of its pair; None without pairs.
    """

    name: str
    text: Any
    label: Any = None
    partner: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are wanted.

    Attributes:
        where: what to call the table in errors.
        text: column of the texts; needed.
        label: column of the classes; None for unlabelled.
    """

    where: str
    text: str | None
    label: str | None

    @property
    def named(self) -> list[str]:
        return [column for column in (self.text, self.label) if column is not None]

    def check(self, there: Sequence[str]) -> None:
        """Refuses a column that is not there, is there twice, or is not named.

        Raises:
            DataError: with the nearest columns.
        """
        columns = f"Columns: {', '.join(there)}."
        if self.text is None:
            raise DataError(f"{self.where}: say which column holds the texts (text=). {columns}")
        for column in self.named:
            if column not in there:
                close = difflib.get_close_matches(column, there, n=3, cutoff=0.5)
                hint = f"Did you mean {' or '.join(close)}? " if close else ""
                raise DataError(f"{self.where} has no column {column!r}. {hint}{columns}")
            if there.count(column) > 1:
                raise DataError(
                    f"{self.where} has {there.count(column)} columns named {column!r}. Rename one."
                )

    def row(self, name: str, record: Mapping[str, Any]) -> Row:
        """One record as text and class."""
        label = None if self.label is None else record.get(self.label)
        return Row(name, record.get(self.text or ""), label)


def text_dataset(
    name: str,
    rows: Sequence[Row],
    problems: Sequence[Problem] = (),
    label: str | None = None,
    seed: int = 0,
    test_share: float = 0.2,
    held: Sequence[Row] | None = None,
) -> Dataset:
    """Makes a data set of rows, leaving out those without text.

    Args:
        name: what the user calls the data.
        rows: the samples.
        problems: what reading them has met so far.
        label: column of the classes; None for unlabelled.
        seed: seed of the split.
        test_share: part to hold out, drawn class by class; equal texts stay on one side.
        held: the held-out samples where the source brings its own split.

    Raises:
        DataError: no row has text, or ``label`` has another value in each of many rows.
    """
    met = list(problems)
    learn = _with_text(rows, met)
    hold = _with_text(held or (), met)
    both = learn + hold
    if not both:
        said = "; ".join(f"{p.where}: {p.what}" for p in met[:3])
        raise DataError(f"{name} has no row with text in it. {said}".strip())
    classes, labels = _classes(name, both, label, met)
    texts = [_written(row.text) for row in both]
    whole = Split(
        texts,
        [row.name for row in both],
        labels,
        partners=[row.partner for row in both] if both[0].partner is not None else None,
    )
    if held is None:
        train, test = stratified(
            labels, len(both), test_share, seed, [" ".join(text.split()) for text in texts]
        )
        how = described("texts", test_share, labels)
    else:
        order = torch.arange(len(both))
        train, test = order[: len(learn)], order[len(learn) :]
        how = BROUGHT
    return Dataset(
        name=name,
        modality="text",
        train=whole.take(train),
        test=whole.take(test),
        classes=classes,
        held_out=how,
        problems=tuple(met),
    )


def _with_text(rows: Sequence[Row], met: list[Problem]) -> list[Row]:
    full = [bool(_written(row.text).strip()) for row in rows]
    met += [
        Problem(row.name, "empty text") for row, good in zip(rows, full, strict=True) if not good
    ]
    return [row for row, good in zip(rows, full, strict=True) if good]


def _written(text: Any) -> str:
    return text if isinstance(text, str) else class_name(text)


def _classes(
    name: str, rows: Sequence[Row], label: str | None, met: list[Problem]
) -> tuple[tuple[str, ...], Tensor | None]:
    if label is None:
        return (), None
    classes, labels = number_classes([row.label for row in rows])
    without = [row.name for row, number in zip(rows, labels.tolist(), strict=True) if number < 0]
    if not classes:
        raise DataError(f"{name}: the column {label!r} is empty. Leave it out for unlabelled data.")
    if len(classes) == len(rows) - len(without) and len(classes) > 20:
        raise DataError(
            f"{name}: the column {label!r} has another value in each of {len(classes)} rows, "
            "so it names no classes. Choose another column or leave it out."
        )
    if without:
        some = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        met.append(Problem(some, f"no {label} in {len(without)} of {len(rows)} rows", used=True))
    return classes, labels
