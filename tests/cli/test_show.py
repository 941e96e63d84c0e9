from __future__ import annotations

from typing import Any

import pytest

from counterpoint import catalog
from counterpoint.apps.card import on_record
from counterpoint.objectives.preference_logic import RATIOS, decompile
from counterpoint.objectives.records import record, records


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


def test_committed_claims_are_shown(as_json: Any, invoke: Any) -> None:
    (claim,) = as_json("show", "naive-bayes-probe")["claims"]
    shown = invoke("show", "naive-bayes-probe").stdout
    assert f"Claim, {claim['verdict']}" in shown
    assert all(f"{part['effect']:.3f}" in shown for part in claim["parts"])


def test_every_card_draws(invoke: Any) -> None:
    alone = [name for name in records() if not on_record(name)["systems"]]
    names = [*(entry.id for entry in catalog.entries()), *alone]
    assert [name for name in names if invoke("show", name).exit_code != 0] == []


@pytest.mark.parametrize("name", ["hard_contrastive", "hard-contrastive"])
def test_an_objective_shows_all_that_is_known_of_it(name: str, invoke: Any) -> None:
    shown = " ".join(invoke("show", name).stdout.split())
    known = record("hard_contrastive")
    assert "sum_{j hard} exp(s(i, j) / t)" in shown
    assert "Takes: pairs" in shown
    assert "Source: Wang and Liu 2021" in shown
    assert "0.0819" in shown, "the default"
    assert known.when in shown
    assert known.unless in shown
    assert " == ".join([known.relations[0].this, known.relations[0].that]) in shown
    assert "nt_xent: It is hard contrast that keeps all negatives." in shown
    assert " ".join(known.example.split()) in shown


def test_an_objective_as_json(as_json: Any) -> None:
    (part,) = as_json("show", "nt_xent")["parts"]
    assert part["record"]["inputs"] == "two views"
    assert part["record"]["module"] == "NTXent"
    relation = part["record"]["relations"][0]
    assert relation["that"] == record("nt_xent").relations[0].that
    assert relation["inputs"]["z1"] == "randn(6, 4)"
    assert as_json("show", "dcl")["parts"][1]["record"]["systems"] == ["dcl"]


def test_symbolic_forms_are_derived_both_ways(as_json: Any, invoke: Any) -> None:
    forms = {form["name"]: form for form in as_json("show", "dpa-logic")["forms"]}
    assert set(forms) == set(RATIOS)
    assert forms["ORPO"]["core P"] == "l -> w"
    assert forms["ORPO"]["constraint P_C"] == "w xor l"
    assert all(decompile(f["derived loss"]) == decompile(f["loss"]) for f in forms.values())
    shown = invoke("show", "dpa-logic").stdout
    assert "(l and rw) -> (w and rl)" in shown
    assert "DPO (also IPO)" in shown


@pytest.mark.parametrize(
    ("given", "what", "derived"),
    [
        ("w / l", "additive P_A", "w and l"),
        ("IPO", "loss", "w rl / (l rw)"),
        ("l -> w; w or l; w and l", "loss", "w / l"),
        ("l -> w; w or l", "loss", "w / (l (1-w))"),
        ("w and not l", "loss", "w (1-l) / (w l + (1-w))"),
    ],
)
def test_one_is_derived_from_the_other(given: str, what: str, derived: str, as_json: Any) -> None:
    (form,) = as_json("show", "dpa-logic", "--derive", given)["forms"]
    assert form[what] == derived


def test_what_cannot_be_derived_says_why(invoke: Any) -> None:
    assert "--derive is for dpa-logic" in invoke("show", "dcl", "--derive", "w / l").stderr
    assert "would be infinite" in invoke("show", "dpa-logic", "--derive", "w or not w").stderr
    assert "not 4 formulas" in invoke("show", "dpa-logic", "--derive", "w; l; w; l").stderr


def test_unknown_name_offers_the_nearest(invoke: Any) -> None:
    result = invoke("show", "simcrl")
    assert result.exit_code == 2
    assert "Did you mean simclr" in result.stderr
