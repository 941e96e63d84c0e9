"""A row's label, or list of labels, as one text, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence

Label = str | list[str]
"""One class, or the classes of a row that may carry any number of them."""


def written(label: Label | None) -> str:
    """One class as it is called, several as JSON; empty where a row is not labelled."""
    if label is None or isinstance(label, str):
        return label or ""
    return json.dumps(label, ensure_ascii=False)


def read(text: str, several: bool) -> Label:
    """What `written` has written."""
    if not several:
        return text
    labels: list[str] = json.loads(text)
    return labels


def names(label: Label) -> Sequence[str]:
    """The classes of a label."""
    return [label] if isinstance(label, str) else label
