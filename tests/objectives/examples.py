"""Inputs for every registered objective, so that sweeps need no list of objectives.

A sweep asks for `examples(objective, rows)`. A new kind of inputs needs one entry in `MAKERS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from counterpoint.objectives import Objective, registered

WIDTH = 5


@dataclass
class Example:
    """A call of an objective.

    Attributes:
        embeddings: tensors ``(N, ...)`` that receive gradients.
        fixed: further positional tensors ``(N, ...)``.
        named: tensors by name, one row a sample (or a share of a bank).
        options: plain settings.
    """

    objective: Objective
    variant: str
    embeddings: list[Tensor]
    fixed: list[Tensor] = field(default_factory=list)
    named: dict[str, Tensor] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.objective.name}-{self.variant}"

    def __call__(self, *embeddings: Tensor, **more: Any) -> Tensor:
        given = embeddings or self.embeddings
        return self.objective.function(*given, *self.fixed, **self.named, **self.options, **more)

    def rows(self, part: slice) -> Example:
        """The same call on some of the samples."""
        return Example(
            self.objective,
            self.variant,
            [x[part] for x in self.embeddings],
            [x[part] for x in self.fixed],
            {name: x[part] for name, x in self.named.items()},
            self.options,
        )


def accepts(objective: Objective, name: str) -> bool:
    return name in inspect.signature(objective.function).parameters


def _embeddings(count: int) -> Callable[[int], tuple[list[Tensor], list[Tensor], dict[str, Any]]]:
    return lambda rows: ([torch.randn(rows, WIDTH) for _ in range(count)], [], {})


def _labelled(rows: int) -> tuple[list[Tensor], list[Tensor], dict[str, Any]]:
    labels = torch.arange(rows) % 3
    labels[-1] = -1
    return [torch.randn(rows, WIDTH)], [labels], {}


def _with_similarity(rows: int) -> tuple[list[Tensor], list[Tensor], dict[str, Any]]:
    return [torch.randn(rows, WIDTH), torch.randn(rows, WIDTH)], [torch.randn(rows, 2, 3)], {}


def _described(rows: int) -> tuple[list[Tensor], list[Tensor], dict[str, Any]]:
    options = {
        "positive": lambda i, j: (i - j).abs() % 4 == 1,
        "valid": lambda i, j: i != j,
        "weight": lambda i, j: 1 + (i + j) % 2 * 0.5,
    }
    return [torch.randn(rows, WIDTH), torch.randn(rows, WIDTH)], [], options


MAKERS = {
    "two views": _embeddings(2),
    "pairs": _embeddings(2),
    "labels": _labelled,
    "pairs and similarity": _with_similarity,
    "description": _described,
}

OPTIONS: dict[str, list[Any]] = {
    "symmetric": [False],
    "detach_weight": [False],
    "in_batch": [False],
    "aggregate": ["log_sum"],
    "decoupled": [True],
    "alpha": [0.3],
    "reduction": ["sum"],
}
"""Settings of which each objective that has them is tried with these too."""


def examples(objective: Objective, rows: int, dtype: torch.dtype = torch.float64) -> list[Example]:
    """Calls of an objective with ``rows`` samples: plain, and with each of its options."""
    torch.manual_seed(rows)
    found = [_example(objective, "plain", rows, dtype)]
    for name, values in OPTIONS.items():
        for value in values if accepts(objective, name) else []:
            one = _example(objective, f"{name}={value}", rows, dtype)
            one.options[name] = value
            if name == "in_batch":
                one.named["negatives"] = torch.randn(2 * rows, WIDTH).to(dtype)[:rows]
            found.append(one)
    if accepts(objective, "ids"):
        one = _example(objective, "ids", rows, dtype)
        one.named["ids"] = torch.arange(rows) // 2
        found.append(one)
    if accepts(objective, "negatives"):
        one = _example(objective, "negatives", rows, dtype)
        one.named["negatives"] = torch.randn(rows, WIDTH).to(dtype)
        one.named["ids"] = torch.arange(rows)
        one.named["negative_ids"] = torch.arange(rows).flip(0)
        found.append(one)
    return found


def _example(objective: Objective, variant: str, rows: int, dtype: torch.dtype) -> Example:
    embeddings, fixed, options = MAKERS[objective.inputs](rows)
    return Example(
        objective,
        variant,
        [x.to(dtype).requires_grad_() for x in embeddings],
        [x.to(dtype) if x.is_floating_point() else x for x in fixed],
        {},
        dict(options),
    )


def swept() -> list[Objective]:
    """The registered objectives whose inputs are embeddings and whose value draws nothing.

    Objectives with random draws have tests of their own, in which the draws are passed in.
    """
    return [one for one in registered() if one.inputs in MAKERS and not accepts(one, "generator")]
