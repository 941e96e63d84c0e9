"""Several labels a row: out of lists, or out of text with a separator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.classes import class_name, number_classes

Marks = NDArray[np.bool_]


def is_list(value: Any) -> bool:
    """Whether a value holds several labels: a list, tuple, set or array."""
    return isinstance(value, (list, tuple, set, frozenset)) or (
        isinstance(value, np.ndarray) and value.ndim == 1
    )


def label_set(value: Any, separator: str | None = None) -> list[Any] | None:
    """The labels of a row, each once, in order; None where the row is not labelled.

    An empty list is a row without labels; None, NaN and blank text are rows not labelled.

    Args:
        value: a list of labels, or text.
        separator: what stands between the labels of a text; None takes a text as one label.
    """
    if is_list(value):
        found = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    elif not class_name(value):
        return None
    elif separator is not None and isinstance(value, str):
        found = [part.strip() for part in value.split(separator)]
    else:
        found = [value]
    return list({class_name(label): label for label in found if class_name(label)}.values())


def mark(
    sets: Sequence[Iterable[Any] | None], further: Sequence[Iterable[Any] | None] = ()
) -> tuple[tuple[str, ...], Marks]:
    """Classes of all label sets in natural order, and which row has which.

    Args:
        sets: labels of N rows, None where a row is not labelled.
        further: those of M more rows.

    Returns:
        Class names by number, and bool ``(N + M, C)``.
    """
    every = [*sets, *further]
    owner = [row for row, labels in enumerate(every) for _ in labels or ()]
    classes, numbers = number_classes([label for labels in every for label in labels or ()])
    marks = np.zeros((len(every), len(classes)), dtype=bool)
    marks[owner, numbers.numpy()] = True
    return classes, marks


def rewritten(
    values: Sequence[Any],
    old: Marks,
    new: Marks,
    classes: Sequence[str],
    separator: str | None = None,
) -> list[Any]:
    """The owner's label sets with other marks; a row that does not change stays to the letter.

    Labels that stay come first, in the owner's order; new ones are spelt as the owner does, with
    as many blanks around the separator as most have.

    Args:
        values: label sets of N rows as their owner writes them.
        old: bool ``(N, C)``, the marks of these values.
        new: bool ``(N, C)``.
        classes: class names by number.
        separator: what stands between labels in a text; None where they are lists.
    """
    sets = [label_set(value, separator) for value in values]
    spelt: dict[str, Any] = {}
    for labels in sets:
        for label in labels or []:
            spelt.setdefault(class_name(label), label)
    between = None if separator is None else _between(values, separator)
    out = list(values)
    for row in np.flatnonzero((old != new).any(axis=1)).tolist():
        wanted = [classes[n] for n in np.flatnonzero(new[row]).tolist()]
        kept = [label for label in sets[row] or [] if class_name(label) in wanted]
        there = {class_name(label) for label in kept}
        labels = kept + [spelt.get(name, name) for name in wanted if name not in there]
        out[row] = labels if between is None else between.join(map(class_name, labels))
    return out


def _between(values: Sequence[Any], separator: str) -> str:
    """The separator with the blanks that most of the texts have around it."""
    alone = re.compile(f" *{re.escape(separator)} *")
    found = Counter(
        part for value in values if isinstance(value, str) for part in alone.findall(value)
    )
    return found.most_common(1)[0][0] if found else separator
