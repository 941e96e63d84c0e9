"""The recorded outputs of the authors' own code, where they are at hand."""

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
GOLDENS = Path(os.environ.get("COUNTERPOINT_GOLDENS", HERE.parents[1] / "shared" / "goldens"))


@pytest.fixture(scope="module")
def harness():
    spec = importlib.util.spec_from_file_location("goldens", HERE / "goldens.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["goldens"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("golden_id", ["dcl", "temperature", "cwcl", "naive-bayes-probe"])
def test_recorded_cases_pass(harness, golden_id, capsys):
    path = GOLDENS / f"{golden_id}.json"
    if not path.exists():
        pytest.skip(f"{path} is not at hand; set COUNTERPOINT_GOLDENS")
    status = harness.main([str(path)])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert printed.splitlines()[-1].endswith(" passed, 0 failed")


def test_an_unmapped_id_and_a_wrong_number_fail(tmp_path):
    unknown = tmp_path / "unknown.json"
    unknown.write_text(
        '{"id": "no-such-id", "cases": [{"what": "x", "inputs": {}, "outputs": {"loss": 1.0}}]}'
    )
    wrong = tmp_path / "wrong.json"
    wrong.write_text(
        '{"id": "dcl", "cases": [{"what": "symmetric DCL", "params": {"temperature": 0.1},'
        '"inputs": {"z1": [[1.0, 0.0], [0.0, 1.0]], "z2": [[1.0, 0.0], [0.0, 1.0]]},'
        '"outputs": {"loss": 1.0}}]}'
    )
    done = subprocess.run(
        [sys.executable, HERE / "goldens.py", unknown, wrong],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 passed, 2 failed"


def test_recorded_infinities_and_nan_are_met_by_the_same_alone(harness):
    case = harness.Case("", {}, {}, "", {"x": [math.inf, math.nan, 2.0]}, [])

    def error(*x: float) -> float:
        return harness.errors(case, lambda _: {"x": torch.tensor(x)})["x"][0]

    assert error(math.inf, math.nan, 2.5) == 0.5
    assert math.isnan(error(math.nan, math.nan, 2.0))
    assert error(-math.inf, math.nan, 2.0) == math.inf
