"""What a claim declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Pair = tuple[float, float]
"""The method's value and the baseline's, of one seed."""


@dataclass(frozen=True)
class Part:
    """One measured statement: a method against a baseline that differs from it in one thing.

    Attributes:
        id: short name.
        claim: what is claimed, in a sentence.
        method: what is measured.
        baseline: what it is compared with.
        metric: the quantity, with its range or unit.
        direction: whether the method's value is claimed to be ``"higher"`` or ``"lower"``.
        margin: by how much at least; negative where a loss of that size is tolerated.
        refuted_below: the paper's or the specification's rule of refutation: a mean effect in the
            claimed direction below this refutes, whatever its interval; None without such a rule.
        every_seed: whether that rule holds for each seed alone, not for the mean.
    """

    id: str
    claim: str
    method: str
    baseline: str
    metric: str
    direction: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    refuted_below: float | None = None
    every_seed: bool = False


def exact(id: str, claim: str, method: str, metric: str = "difference") -> Part:
    """An identity: on every seed the mismatch stays below the tolerance, which is the baseline."""
    return Part(
        id=id,
        claim=claim,
        method=method,
        baseline="the tolerance",
        metric=metric,
        direction="lower",
        refuted_below=0.0,
        every_seed=True,
    )


@dataclass(frozen=True)
class Claim:
    """A paper's claim as an experiment, its settings fixed before it is run.

    Attributes:
        id: of the system in the catalogue.
        claim: the whole claim, in a sentence or two.
        data: what it is tested on.
        settings: every choice that decides a number; plain JSON values.
        parts: what is measured; the first is the one whose effect stands for the claim.
        measure: the experiment: a seed in, one `Pair` a part out, under the part's id.
    """

    id: str
    claim: str
    data: str
    settings: Mapping[str, Any]
    parts: tuple[Part, ...]
    measure: Callable[[int], Mapping[str, Pair]]
