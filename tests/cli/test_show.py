from __future__ import annotations

from typing import Any

from counterpoint import catalog


def test_card_of_a_ready_system(as_json: Any) -> None:
    found = as_json("show", "dcl")
    assert found["arxiv"] == "2110.06848"
    assert found["status"] == "ready"
    method = found["parts"][0]
    defaults = {argument["name"]: argument["default"] for argument in method["arguments"]}
    assert defaults["temperature"] == "0.1"
    assert "exp(s(i, j) / t)" in found["parts"][1]["summary"]
    assert "counterpoint fit dcl --data digits" in found["use"]["shell"]


def test_card_of_a_method_outside_the_catalogue(invoke: Any) -> None:
    shown = invoke("show", "simclr").stdout
    assert "Source: Chen et al." in shown
    assert "temperature" in shown
    assert "counterpoint fit simclr" in shown


def test_card_of_a_planned_system_says_so(invoke: Any) -> None:
    planned = next(entry for entry in catalog.entries() if entry.status == "planned")
    shown = invoke("show", planned.id).stdout
    assert planned.arxiv in shown
    assert "not here yet" in shown


def test_committed_claims_are_shown(as_json: Any, invoke: Any) -> None:
    (claim,) = as_json("show", "naive-bayes-probe")["claims"]
    shown = invoke("show", "naive-bayes-probe").stdout
    assert f"Claim, {claim['verdict']}" in shown
    assert all(f"{part['effect']:.3f}" in shown for part in claim["parts"])


def test_every_card_draws(invoke: Any) -> None:
    failed = [e.id for e in catalog.entries() if invoke("show", e.id).exit_code != 0]
    assert failed == []


def test_unknown_name_offers_the_nearest(invoke: Any) -> None:
    result = invoke("show", "simcrl")
    assert result.exit_code == 2
    assert "Did you mean simclr" in result.stderr
