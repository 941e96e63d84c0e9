"""From class names of any type to class numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def number_classes(values: Sequence[Any]) -> tuple[tuple[str, ...], Tensor]:
    """Numbers the classes in natural order ("class 2" before "class 10").

    Args:
        values: one class a sample, of any type. None, NaN, and empty or blank text are missing;
            whole floats count as integers.

    Returns:
        Class names by number, and the number of each sample, int64 ``(N,)``, -1 where missing.
    """
    names = [class_name(value) for value in values]
    classes = tuple(sorted({name for name in names if name}, key=_natural))
    number = {name: i for i, name in enumerate(classes)}
    return classes, torch.tensor([number.get(name, -1) for name in names], dtype=torch.long)


def class_name(value: Any) -> str:
    """The name of a class; empty where it is missing."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _natural(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts if p]
