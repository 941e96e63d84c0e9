from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from counterpoint.claims import Claim, Part, _run


@pytest.fixture
def _small(monkeypatch: Any) -> None:
    """A claim whose effect grows with the seed, in the place of a real one."""
    claim = Claim(
        id="dcl",
        claim="It is higher.",
        data="none",
        settings={"steps": 1},
        parts=(Part(id="a", claim="A is higher.", method="m", baseline="b", metric="x"),),
        measure=lambda seed: {"a": (1.0 + seed, 0.0)},
    )
    monkeypatch.setattr(_run, "find", lambda id: claim)


@pytest.mark.usefixtures("_small")
def test_claim_prints_verdict_and_writes_the_result(invoke: Any, tmp_path: Path) -> None:
    result = invoke("claim", "dcl", "--seeds", 4, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "dcl: holds" in result.stdout
    assert "2.500" in result.stdout
    written = json.loads((tmp_path / "dcl.json").read_text())
    assert written["seeds"] == 4
    assert written["verdict"] == "holds"


@pytest.mark.usefixtures("_small")
def test_claim_as_json(as_json: Any, tmp_path: Path) -> None:
    found = as_json("claim", "dcl", "--out", tmp_path)
    assert found == json.loads((tmp_path / "dcl.json").read_text())


def test_too_few_seeds_and_unknown_claims(invoke: Any, tmp_path: Path) -> None:
    few = invoke("claim", "dcl", "--seeds", 1, "--out", tmp_path / "a")
    assert few.exit_code == 2
    assert "at least 3 seeds" in few.stderr
    unknown = invoke("claim", "dlc", "--out", tmp_path / "b")
    assert unknown.exit_code == 2
    assert "Did you mean dcl" in unknown.stderr
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
