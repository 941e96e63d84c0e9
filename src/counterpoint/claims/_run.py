"""Runs a claim over seeds and writes down what came out."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from counterpoint.claims._claim import Claim, Pair, Part
from counterpoint.claims._verdict import INTERVAL, RULE, combine, effect, judge
from counterpoint.errors import CounterpointError, SettingError, unknown_name
from counterpoint.files import check_writable, write_text
from counterpoint.progress import OnProgress, Progress


def names() -> list[str]:
    """Ids of all claims: the files of this folder that do not start with an underscore."""
    package = importlib.import_module("counterpoint.claims")
    modules = pkgutil.iter_modules(package.__path__)
    return sorted(m.name.replace("_", "-") for m in modules if not m.name.startswith("_"))


def find(id: str) -> Claim:
    """The claim of a system.

    Raises:
        SettingError: there is none; the message offers the nearest ids.
    """
    if id not in names():
        raise unknown_name("claim", id, names())
    claim: Claim = importlib.import_module(f"counterpoint.claims.{id.replace('-', '_')}").CLAIM
    return claim


def run(
    id: str,
    seeds: int = 3,
    on_progress: OnProgress | None = None,
    out: Path | str | None = None,
) -> dict[str, Any]:
    """Tests a claim on seeds 0, 1, ... and judges it.

    Args:
        id: of the claim, see `names`.
        seeds: how many, at least 3.
        on_progress: told after each seed.
        out: folder in which to write ``ID.json``; None writes nothing.

    Returns:
        Plain JSON values: ``{"id", "claim", "verdict": "holds" | "not shown" | "refuted",
        "effect", "ci95", "seeds", "baseline", "method", "metric", "direction", "data", "settings",
        "minutes", "interval", "rule", "versions", "parts"}``. Effect (method minus baseline),
        interval, method, baseline and metric are those of the first part; ``parts`` holds the same
        fields for each, with ``values``, the two numbers of every seed.

    Raises:
        SettingError: an unknown id, too few seeds, or a folder that cannot be written.
        CounterpointError: a measurement that is not finite.
    """
    return try_out(find(id), seeds, on_progress, out)


def try_out(
    claim: Claim,
    seeds: int = 3,
    on_progress: OnProgress | None = None,
    out: Path | str | None = None,
) -> dict[str, Any]:
    """As `run`, for a claim that need not be registered."""
    if seeds < 3:
        raise SettingError(f"A claim needs at least 3 seeds for its interval; got {seeds}.")
    if out is not None:
        check_writable(Path(out))
    start = time.monotonic()
    measured = []
    for seed in range(seeds):
        measured.append(_measured(claim, seed))
        if on_progress is not None:
            on_progress(Progress(f"claim {claim.id}", seed + 1, seeds, f"seed {seed}"))
    parts = [_part(part, [values[part.id] for values in measured]) for part in claim.parts]
    shown = ("effect", "ci95", "baseline", "method", "metric", "direction")
    result = {
        "id": claim.id,
        "claim": claim.claim,
        "verdict": combine([part["verdict"] for part in parts]),
        **{key: parts[0][key] for key in shown},
        "seeds": seeds,
        "data": claim.data,
        "settings": dict(claim.settings),
        "minutes": round((time.monotonic() - start) / 60, 3),
        "interval": INTERVAL,
        "rule": RULE,
        "versions": {name: version(name) for name in ("counterpoint", "torch", "scikit-learn")},
        "parts": parts,
    }
    if out is not None:
        text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        write_text(Path(out) / f"{claim.id}.json", text)
    return result


def _measured(claim: Claim, seed: int) -> Mapping[str, Pair]:
    values = claim.measure(seed)
    expected = {part.id for part in claim.parts}
    if set(values) != expected:
        raise CounterpointError(
            f"Claim {claim.id} measured {sorted(values)} and declares {sorted(expected)}."
        )
    for name, pair in values.items():
        if not all(map(math.isfinite, pair)):
            raise CounterpointError(f"Claim {claim.id}, part {name}, seed {seed}: got {pair}.")
    return values


def _part(part: Part, pairs: Sequence[Pair]) -> dict[str, Any]:
    mean, ends = effect(pairs)
    return {
        "id": part.id,
        "claim": part.claim,
        "verdict": judge(part, pairs),
        "effect": mean,
        "ci95": list(ends),
        "seeds": len(pairs),
        "baseline": part.baseline,
        "method": part.method,
        "metric": part.metric,
        "direction": part.direction,
        "margin": part.margin,
        "refuted_by": _refutation(part),
        "values": [
            {"seed": seed, "method": float(method), "baseline": float(baseline)}
            for seed, (method, baseline) in enumerate(pairs)
        ],
    }


def _refutation(part: Part) -> str:
    opposite = "the whole interval in the opposite direction"
    if part.refuted_below is None:
        return opposite
    who = "any seed's effect" if part.every_seed else "a mean effect"
    return f"{who} in the claimed direction below {part.refuted_below:g}, or {opposite}"
