"""Runs recorded outputs of the authors' own code against the public API.

    python tests/goldens.py FILE...

The cases of the file with id ``ID`` are mapped by ``run(case)`` in ``golden_cases/ID.py`` (with _
for -), which returns the outputs by their recorded names; recorded ``grad_X`` are taken of the
returned ``loss`` in the input or parameter X. A line a case gives the largest absolute error.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAPPINGS = Path(__file__).parent / "golden_cases"
TOLERANCE = 1e-6
"""Largest error, relative to the largest recorded number of a tensor and to 1."""


@dataclass
class Case:
    """One recorded call.

    Attributes:
        what: which variant was recorded, in words.
        params: plain settings.
        notes: remarks of the recorder.
        expected: recorded outputs by name.
        siblings: the raw cases of the file.
    """

    what: str
    inputs: dict[str, Any]
    params: dict[str, Any]
    notes: str
    expected: dict[str, Any]
    siblings: list[dict[str, Any]]
    leaves: dict[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        """An input or parameter as a tensor: float64 and a leaf with gradient, or int64."""
        if name not in self.leaves:
            value = self.inputs[name] if name in self.inputs else self.params[name]
            self.leaves[name] = to_tensor(value)
        return self.leaves[name]


def to_tensor(value: Any) -> Tensor:
    """A recorded value as float64 with gradient, or int64 where all numbers are integers."""
    shape = None
    if isinstance(value, dict):
        shape, value = value["shape"], value["data"]
    tensor = torch.tensor(value)
    if shape is not None:
        tensor = tensor.reshape(shape)
    if tensor.is_floating_point():
        return torch.tensor(value, dtype=torch.float64).reshape(tensor.shape).requires_grad_()
    return tensor


def read(path: Path) -> tuple[str, list[Case]]:
    """The id of a golden file and its cases."""
    content = json.loads(path.read_text())
    raw = content["cases"]
    cases = []
    for one in raw:
        inputs = dict(one["inputs"])
        if "use" in inputs:
            inputs = {**raw[0]["inputs"], **inputs}
        cases.append(
            Case(
                one["what"],
                inputs,
                one.get("params") or {},
                one.get("notes") or "",
                flat(one["outputs"]),
                raw,
            )
        )
    return content["id"], cases


def flat(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs by name; those in groups as ``"group.name"``, those of steps ``"steps.0.name"``."""
    found = {}
    for name, value in outputs.items():
        if isinstance(value, dict) and "data" not in value:
            found |= {f"{name}.{inner}": part for inner, part in flat(value).items()}
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            found |= flat({f"{name}.{place}": part for place, part in enumerate(value)})
        else:
            found[name] = value
    return found


def mapping(golden_id: str) -> Any | None:
    """The module that maps an id, or None."""
    path = MAPPINGS / f"{golden_id.replace('-', '_')}.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"golden_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def errors(case: Case, run: Callable[[Case], dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Largest absolute error of every recorded output, and the size it is relative to."""
    outputs = run(case)
    found = {}
    for name, recorded in case.expected.items():
        if recorded is None:
            continue
        expected = to_tensor(recorded).detach().double().flatten()
        actual = _actual(case, outputs, name).detach().double().flatten()
        if actual.shape != expected.shape:
            raise ValueError(f"{name}: {actual.numel()} numbers instead of {expected.numel()}")
        if not expected.numel():
            found[name] = (0.0, 1.0)
            continue
        same = actual.isclose(expected, rtol=0, atol=0, equal_nan=True)  # infinities too
        error = (actual - expected).abs().masked_fill(same, 0.0).max().item()
        finite = expected[expected.isfinite()].abs()
        found[name] = (error, max(1.0, *finite.tolist()))
    return found


def _actual(case: Case, outputs: dict[str, Any], name: str) -> Tensor:
    if name in outputs:
        return torch.as_tensor(outputs[name])
    if not name.startswith("grad_"):
        raise KeyError(f"the mapping gives no {name}")
    leaf, loss = case[name.removeprefix("grad_")], outputs["loss"]
    if not loss.requires_grad:
        return torch.zeros_like(leaf)
    (grad,) = torch.autograd.grad(loss, leaf, retain_graph=True, materialize_grads=True)
    return grad


def check(path: Path) -> list[bool]:
    """Runs and prints every case of a file."""
    golden_id, cases = read(path)
    module = mapping(golden_id)
    verdicts = []
    for number, case in enumerate(cases, 1):
        label = f"{golden_id} {number} ({case.what})"
        if module is None:
            print(f"FAIL {label}: no mapping for this id")
            verdicts.append(False)
            continue
        tolerances = getattr(module, "TOLERANCES", {})
        try:
            found = errors(case, module.run)
        except Exception as error:  # every kind of failure is a failed case
            print(f"FAIL {label}: {type(error).__name__}: {error}")
            verdicts.append(False)
            continue
        worst = max(found, key=lambda name: found[name][0], default="nothing")
        good = bool(found) and all(
            error <= tolerances.get(name, TOLERANCE) * size for name, (error, size) in found.items()
        )
        print(f"{'ok  ' if good else 'FAIL'} {label}: {found.get(worst, (0.0,))[0]:.2e} in {worst}")
        verdicts.append(good)
    return verdicts


def main(paths: list[str]) -> int:
    torch.set_num_threads(1)
    verdicts = [verdict for path in paths for verdict in check(Path(path))]
    print(f"{sum(verdicts)} passed, {len(verdicts) - sum(verdicts)} failed")
    return 0 if verdicts and all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
