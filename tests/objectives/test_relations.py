"""What the records say of objectives is true: relations are equalities, examples run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import counterpoint as cp
from counterpoint.errors import SettingError
from counterpoint.objectives import functional, registered
from counterpoint.objectives.icnn_score import icnn_score
from counterpoint.objectives.preference_logic import compile_loss
from counterpoint.objectives.records import (
    Relation,
    inputs,
    kinds_of_data,
    record,
    records,
    relations_of,
)

NAMES = [one.name for one in registered() if hasattr(functional, one.name)]
RELATIONS = [relation for found in records().values() for relation in found.relations]
FROM_TORCH_NN = {"normalize", "cross_entropy"}
"""What relations take from `torch.nn.functional`."""


def names_of_relations() -> tuple[dict[str, Any], list[torch.Tensor]]:
    """Everything a relation may name, and the tensors that receive gradients."""
    found = {**vars(torch), **{name: getattr(torch.nn.functional, name) for name in FROM_TORCH_NN}}
    found |= {name: getattr(functional, name) for name in functional.__all__}
    found |= {"cp": cp, "compile_loss": compile_loss, "icnn_score": icnn_score}
    torch.manual_seed(0)
    learnt = {name: eval(code, found).requires_grad_() for name, code in inputs()["learnt"].items()}
    for name, code in inputs()["fixed"].items():
        found[name] = eval(code, found)
    return found | learnt, list(learnt.values())


@pytest.fixture(autouse=True)
def float64() -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.of)
def test_both_sides_have_the_same_value_and_gradients(relation: Relation) -> None:
    names, learnt = names_of_relations()
    sides = [eval(code, names) for code in (relation.this, relation.that)]
    if relation.compare == "value and gradient":
        torch.testing.assert_close(*sides, rtol=relation.within, atol=relation.within)
    ours, theirs = (
        torch.autograd.grad(side, learnt, allow_unused=True, materialize_grads=True)
        for side in sides
    )
    assert any(gradient.abs().max() > 1e-6 for gradient in ours), "nothing is learnt"
    largest = max(float(gradient.abs().max()) for gradient in theirs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=relation.within * max(largest, 1))


def test_a_relation_is_of_its_objective_and_says_when() -> None:
    for relation in RELATIONS:
        assert relation.of in relation.names
        assert relation.says[0].isupper()
        assert relation.says.endswith(".")


def test_every_objective_has_a_record_and_every_record_an_objective() -> None:
    assert set(records()) == set(NAMES), "objectives/records.toml has one section an objective"


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_takes_part_in_a_relation(name: str) -> None:
    assert list(relations_of(name)), "say in objectives/records.toml what it equals, and when"


def test_a_relation_is_shown_on_both_sides() -> None:
    shared = [one for one in relations_of("nt_xent") if one.that.startswith("supcon")]
    assert shared
    assert set(shared) <= set(relations_of("supcon"))


def test_an_unknown_objective_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="Did you mean nt_xent"):
        record("nt_xend")


@pytest.mark.parametrize("name", records())
def test_the_example_runs_and_uses_its_objective(name: str) -> None:
    example = record(name).example.strip()
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(compile(example, f"example of {name}", "exec"), names)
    assert names["loss"].shape == ()
    assert names["loss"].isfinite()
    lines = example.splitlines()
    calls = [line for line in lines if not line.startswith(("import ", "from ")) and line]
    assert 2 <= len(calls) <= 8, "an example has a few lines"
    module = next(one.module for one in registered() if one.name == name)
    assert f"F.{name}(" in example or f"objectives.{module.__name__}(" in example


@pytest.mark.parametrize("name", records())
def test_the_record_says_all_there_is_to_say(name: str) -> None:
    found = record(name)
    assert found.data in kinds_of_data()
    for text in (found.advice, found.when, found.unless):
        assert text.endswith(".")
    assert len(found.advice) <= 90, "one line"
    assert found.formula


def test_every_kind_of_data_has_an_objective() -> None:
    assert {found.data for found in records().values()} == set(kinds_of_data())
    assert {data.start for data in kinds_of_data().values()} <= set(records())
