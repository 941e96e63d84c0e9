"""What holds for every registered objective, without naming any."""

import weakref
from dataclasses import replace

import pytest
import torch
from examples import accepts, examples, swept
from torch import nn

from counterpoint import objectives
from counterpoint.engine import rows as rows_module
from counterpoint.engine import tiles as tiles_module
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import Temperature, find, functional, registered

pytestmark = pytest.mark.filterwarnings("ignore:Some anchors have no positive")

OBJECTIVES = swept()
CALLS = [example for one in OBJECTIVES for example in examples(one, 8)]
each_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
each_call = pytest.mark.parametrize("example", CALLS, ids=str)


def value_and_gradients(example, *embeddings, **more):
    leaves = [x.detach().requires_grad_() for x in embeddings or example.embeddings]
    loss = example(*leaves, **more)
    return loss, torch.autograd.grad(loss, leaves)


def test_all_are_offered_as_function_and_module():
    for one in registered():
        assert getattr(functional, one.name) is one.function
        assert one.module is not None
        assert getattr(objectives, one.module.__name__) is one.module
        assert one.across_ranks
        assert one.source
        assert "Source:" in one.function.__doc__
        assert "Raises:" in one.function.__doc__


def test_an_unknown_objective_is_refused_with_the_nearest():
    assert find("nt_xent").inputs == "two views"
    with pytest.raises(SettingError, match="nt_xent"):
        find("ntxent")


@each_call
def test_derivatives_numerically(example):
    if example.variant == "alpha=0.3" or "hard" in example.objective.name:
        pytest.skip("the selection of the hardest is not smooth")
    if accepts(example.objective, "detach_weight") and example.options.get("detach_weight", True):
        pytest.skip("the gradient leaves the weight out on purpose")
    assert torch.autograd.gradcheck(lambda *x: example(*x), example.embeddings)


@each_call
def test_float32_agrees_with_float64(example):
    loss, grads = value_and_gradients(example)
    single = replace(
        example,
        fixed=[x.float() if x.is_floating_point() else x for x in example.fixed],
        named={k: x.float() if x.is_floating_point() else x for k, x in example.named.items()},
    )
    found, found_grads = value_and_gradients(single, *(x.float() for x in example.embeddings))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), loss, rtol=1e-5, atol=1e-5)
    for grad, want in zip(found_grads, grads, strict=True):
        assert grad.dtype == torch.float32
        torch.testing.assert_close(grad.double(), want, rtol=1e-4, atol=2e-5)


@each_objective
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(objective, dtype):
    example = examples(objective, 8)[0]
    halves = [x.detach().to(dtype) for x in example.embeddings]
    loss, grads = value_and_gradients(example, *(x.float() for x in halves))
    found, found_grads = value_and_gradients(example, *halves)
    torch.testing.assert_close(found, loss)
    for grad, want in zip(found_grads, grads, strict=True):
        assert grad.dtype == dtype
        torch.testing.assert_close(grad, want.to(dtype))


@each_objective
def test_module_equals_function(objective):
    for example in examples(objective, 8):
        keyword = {**example.named, **example.options}
        call = {k: v for k, v in keyword.items() if torch.is_tensor(v) or callable(v)}
        settings = {k: v for k, v in keyword.items() if k not in call}
        module = objective.module(**settings)
        loss = module(*example.embeddings, *example.fixed, **call)
        torch.testing.assert_close(loss, example(), rtol=0, atol=0)
        assert all(f"{name}=" in repr(module) for name in settings)


@each_objective
def test_learnable_temperature(objective):
    if not accepts(objective, "temperature"):
        pytest.skip("has no temperature")
    example = examples(objective, 8)[0]
    helper = Temperature(0.2)
    module = objective.module(temperature=helper, **{})
    call = {k: v for k, v in example.options.items() if callable(v)}
    module(*example.embeddings, *example.fixed, **call).backward()
    analytic = helper.log_scale.grad.item()
    losses = [
        objective.function(
            *example.embeddings, *example.fixed, temperature=0.2 * factor, **call
        ).item()
        for factor in (0.9999, 1.0001)
    ]
    slope = (losses[0] - losses[1]) / 2e-4
    assert analytic == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert "temperature.log_scale" in module.state_dict()
    plain = objective.module(temperature=nn.Parameter(torch.tensor(0.2)))
    assert [name for name, _ in plain.named_parameters()] == ["temperature"]


@each_call
def test_bad_embeddings_are_refused(example):
    for place in range(len(example.embeddings)):
        for bad in (torch.nan, torch.inf):
            spoilt = [x.detach().clone() for x in example.embeddings]
            spoilt[place][3, 1] = bad
            with pytest.raises(DataError, match="row 3"):
                example(*spoilt)
        for wrong in (torch.ones(8), torch.ones(8, 5, 1), torch.ones(0, 5), torch.ones(8, 5).int()):
            spoilt = [x.detach() for x in example.embeddings]
            spoilt[place] = wrong
            with pytest.raises(DataError):
                example(*spoilt)
    if len(example.embeddings) > 1:
        first, *rest = example.embeddings
        with pytest.raises(DataError, match="width"):
            example(first[:, :4], *rest)


@each_objective
def test_bad_settings_are_refused(objective):
    example = examples(objective, 8)[0]
    with pytest.raises(SettingError, match="reduction"):
        example(reduction="median")
    if accepts(objective, "temperature"):
        for wrong in (0, -0.1, float("nan"), float("inf"), torch.zeros(()), torch.ones(3)):
            with pytest.raises(SettingError, match="temperature"):
                example(temperature=wrong)
    if accepts(objective, "ids"):
        for wrong in (torch.arange(5), torch.rand(8)):
            with pytest.raises(DataError, match="ids"):
                example(ids=wrong)


@each_call
@pytest.mark.parametrize("temperature", [0.005, 0.05, 10.0])
def test_finite_at_any_temperature_and_with_zero_vectors(example, temperature):
    embeddings = [x.detach().float() for x in example.embeddings]
    for x in embeddings:
        x[2] = 0
    more = {"temperature": temperature} if accepts(example.objective, "temperature") else {}
    loss, grads = value_and_gradients(example, *embeddings, **more)
    assert torch.isfinite(loss)
    for grad in grads:
        assert torch.isfinite(grad).all()
        assert grad.abs().max() < 1e4 / temperature


@each_call
def test_identical_rows_give_a_finite_loss(example):
    loss, grads = value_and_gradients(example, *(torch.ones_like(x) for x in example.embeddings))
    assert torch.isfinite(loss)
    assert all(torch.isfinite(grad).all() for grad in grads)


@each_call
def test_autocast_changes_nothing(example):
    single = [x.detach().float() for x in example.embeddings]
    loss, grads = value_and_gradients(example, *single)
    leaves = [x.requires_grad_() for x in single]
    with torch.autocast("cpu", torch.bfloat16):
        found = example(*leaves)
    torch.testing.assert_close(found, loss, rtol=0, atol=0)
    torch.testing.assert_close(torch.autograd.grad(found, leaves), grads, rtol=0, atol=0)


@each_call
@pytest.mark.parametrize("normalize", [True, False])
def test_a_retained_graph_gives_the_same_gradients_again(example, normalize):
    leaves = [x.detach().requires_grad_() for x in example.embeddings]
    loss = example(*leaves, normalize=normalize)
    once = torch.autograd.grad(loss, leaves, retain_graph=True)
    for _ in range(3):
        loss.backward(retain_graph=True)
    torch.testing.assert_close([x.grad for x in leaves], [3 * grad for grad in once])


class Kept:
    """Stands for a tensor saved for backward while that is alive."""

    def __init__(self, tensor):
        self.tensor = tensor


def bytes_saved(example):
    alive = weakref.WeakSet()

    def keep(tensor):
        kept = Kept(tensor)
        alive.add(kept)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        loss = example()
    storages = {kept.tensor.untyped_storage() for kept in alive}
    total = sum({s.data_ptr(): s.nbytes() for s in storages}.values())
    loss.sum().backward()
    return total


@each_objective
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_bytes_saved_for_backward_grow_linearly(objective, reduction, monkeypatch):
    monkeypatch.setattr(tiles_module, "TILE", 32)
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 2048)
    for small, large in zip(examples(objective, 64), examples(objective, 256), strict=True):
        small.options["reduction"] = large.options["reduction"] = reduction
        assert bytes_saved(large) < 4.5 * bytes_saved(small), str(large)


@each_objective
def test_one_sample(objective):
    example = examples(objective, 1)[0]
    loss, problem = None, "at least 2"
    try:
        loss = example()
    except DataError as error:
        problem = str(error)
    assert "at least 2" in problem
    if loss is not None:
        assert torch.isfinite(loss)
        grads = torch.autograd.grad(loss, example.embeddings)
        assert all(torch.isfinite(grad).all() for grad in grads)
