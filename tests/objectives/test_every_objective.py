"""What holds for every registered objective, without naming any but in the lists of exceptions."""

import inspect
import weakref
from dataclasses import replace

import pytest
import torch
from examples import accepts, arguments, examples
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from counterpoint import objectives
from counterpoint.engine import rows as rows_module
from counterpoint.engine import tiles as tiles_module
from counterpoint.errors import CounterpointError, DataError, SettingError
from counterpoint.objectives import Temperature, find, functional, registered
from counterpoint.objectives.functional import distant_peer
from counterpoint.pairs.classes import nearest_classes

pytestmark = pytest.mark.filterwarnings("ignore:Some anchors have no positive")

NOT_THE_DERIVATIVE = {
    "cacr_momentum": "the weights of pairs are constants",
    "cacr_queue": "the weights of pairs are constants",
    "cross_view_distillation": "the teacher's side is constant",
    "dclw": "the weight of a positive is constant, unless detach_weight=False",
    "groco": "positives and negatives are constants, unless stop_gradient=False",
    "mochi": "mixtures are constants",
    "mochi_in_batch": "mixtures are constants",
    "p2c": "the head that another one imitates is constant",
    "pamc": "the sharpened target is constant",
    "sogclr": "an estimate of the gradient over all samples, not the slope of the value",
    "sogclr_bimodal": "an estimate of the gradient over all samples, not the slope of the value",
    "swalip": "assignments are constants",
    "swalip_prototypes": "assignments are constants",
}
"""Objectives whose gradient leaves something out on purpose, and what."""

DERIVATIVE_WITH = {"detach_weight": False, "stop_gradient": False}
"""Settings with which even those have the gradient of their value."""

QUADRATIC = {
    "absolute_boost": "takes the N x N scores",
    "dbl": "takes the N x N scores",
    "discrimination": "takes the N x N similarities",
    "metrix": "has a mixture a triple of anchor, positive and negative",
    "metrix_multi_similarity": "has a mixture a triple of anchor, positive and negative",
    "metrix_proxy_anchor": "has a mixture a pair of samples of different classes",
    "relative_boost": "takes the N x N scores",
    "triplet_ranking": "takes the N x N scores",
}
"""Objectives that keep N x N numbers for the backward pass, and why."""

LARGE_FOR_A_MOMENT = {
    **QUADRATIC,
    "masked_supcon": "takes the N x N weights",
}
"""Objectives that hold N x N numbers at any time, and why."""

SPARSE_HALF = {"pot": "torch has no sparse products in half precision, nor has its encoder"}
"""Objectives that refuse half precision, and why."""

STEEP_AT_ZERO = {
    "laf_alignment": "lengths are kept from 0 by 1e-12, as released",
    "semantic_preservation": "lengths are at least 1e-8, as released",
}
"""Objectives whose gradient at a zero vector is finite, but large."""

UNEQUAL_SIZES = {
    ("contrast", "anchors"): "the description pairs any number of anchors and candidates",
    ("contrast", "candidates"): "the description pairs any number of anchors and candidates",
    ("contriever_in_batch", "queries"): "further passages are negatives",
    ("debcse", "negatives"): "a bank of any size",
    ("esimcse", "queue"): "a queue of any size",
    ("hard_contrastive", "negatives"): "a bank of any size",
    ("info_nce", "negatives"): "a bank of any size",
    ("simple_contrastive", "negatives"): "a bank of any size",
}
"""Inputs whose number of rows is free."""


def _calls():
    for objective in registered():
        try:
            yield from examples(objective, 8)
        except LookupError:
            """`test_every_objective_has_examples` says which."""


CALLS = list(_calls())
OBJECTIVES = [one for one in registered() if any(call.objective is one for call in CALLS)]
each_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
each_call = pytest.mark.parametrize("example", CALLS, ids=str)


def each_objective_that(keep):
    kept = [one for one in OBJECTIVES if keep(one)]
    return pytest.mark.parametrize("objective", kept, ids=lambda one: one.name)


def each_with(things, name, setting, values):
    """Each thing with each value of a setting, or with the first alone where it has no such one."""
    found = []
    for thing in things:
        takes = accepts(getattr(thing, "objective", thing), setting)
        label = getattr(thing, "name", thing)
        found += [
            pytest.param(thing, v, id=f"{label}-{v}") for v in (values if takes else values[:1])
        ]
    return pytest.mark.parametrize((name, setting), found)


def temperatures(objective):
    """The settings that are temperatures."""
    parameters = inspect.signature(objective.function).parameters
    return [name for name in parameters if "temperature" in name and name != "pair_temperature"]


def takes_learnable_temperature(objective):
    parameter = inspect.signature(objective.function).parameters.get("temperature")
    return parameter is not None and "T" in str(parameter.annotation)


def plain_module(objective):
    """Whether the module takes what the function takes, and nothing besides."""
    return set(inspect.signature(objective.module.forward).parameters) <= {
        "self",
        *inspect.signature(objective.function).parameters,
    }


def value_and_gradients(example, *embeddings, **more):
    leaves = [x.detach().requires_grad_() for x in embeddings or example.embeddings]
    loss = example(*leaves, **more)
    return loss, torch.autograd.grad(loss, leaves, materialize_grads=True)


def assert_finite(loss, grads, bound=float("inf")):
    assert torch.isfinite(loss).all()
    for grad in grads:
        assert torch.isfinite(grad).all()
        assert grad.abs().max() < bound


@pytest.mark.parametrize("objective", registered(), ids=lambda one: one.name)
def test_every_objective_has_examples(objective):
    assert examples(objective, 8)


def test_all_are_offered_as_function_and_module():
    for one in registered():
        assert getattr(functional, one.name) is one.function
        assert one.module is not None
        assert getattr(objectives, one.module.__name__) is one.module
        assert one.across_ranks
        assert (one.ranks == "global") == accepts(one, "across_ranks")
        assert one.source
        assert "Source:" in one.function.__doc__
        assert "Raises:" in one.function.__doc__


def test_exceptions_name_objectives():
    names = {one.name for one in registered()}
    assert {*NOT_THE_DERIVATIVE, *LARGE_FOR_A_MOMENT, *SPARSE_HALF, *STEEP_AT_ZERO} <= names
    assert {name for name, _ in UNEQUAL_SIZES} <= names


def test_an_unknown_objective_is_refused_with_the_nearest():
    assert find("nt_xent").inputs == "two views"
    with pytest.raises(SettingError, match="nt_xent"):
        find("ntxent")


@each_call
def test_derivatives_numerically(example):
    exact = any(example.options.get(name) is value for name, value in DERIVATIVE_WITH.items())
    right = torch.autograd.gradcheck(
        lambda *x: example(*x), example.embeddings, fast_mode=True, raise_exception=False
    )
    assert right == (exact or example.objective.name not in NOT_THE_DERIVATIVE)


@pytest.mark.parametrize(
    "example",
    # torch draws other numbers in another precision
    [call for call in CALLS if not accepts(call.objective, "generator")],
    ids=str,
)
def test_float32_agrees_with_float64(example):
    loss, grads = value_and_gradients(example)
    found, found_grads = value_and_gradients(example.to(torch.float32))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), loss, rtol=1e-5, atol=1e-5)
    for grad, want in zip(found_grads, grads, strict=True):
        assert grad.dtype == torch.float32
        atol = 2e-5 * max(1.0, want.abs().max().item())
        torch.testing.assert_close(grad.double(), want, rtol=1e-4, atol=atol)


@each_objective
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(objective, dtype):
    half = examples(objective, 8)[0].to(dtype)
    if objective.name in SPARSE_HALF:
        with pytest.raises(DataError, match="encoder"):
            half()
        return
    loss, grads = value_and_gradients(half.to(torch.float32))
    found, found_grads = value_and_gradients(half)
    torch.testing.assert_close(found, loss)
    for grad, want in zip(found_grads, grads, strict=True):
        assert grad.dtype == dtype
        torch.testing.assert_close(grad, want.to(dtype))


@each_objective_that(plain_module)
def test_module_equals_function(objective):
    taken = inspect.signature(objective.module.forward).parameters
    for example in examples(objective, 8):
        inputs = {name: one for name, one in example.inputs.items() if name in taken}
        assert all(one.value is None or name in taken for name, one in example.inputs.items())
        call = {name: value for name, value in example.options.items() if name in taken}
        settings = {k: v for k, v in example.options.items() if k not in taken}
        if "generator" in taken:
            call["generator"] = torch.Generator().manual_seed(0)
        module = objective.module(**settings)
        positional, keyword = arguments(objective.module.forward, inputs)
        loss = module(*positional, **keyword, **call)
        torch.testing.assert_close(loss, example(), rtol=0, atol=0)
        assert all(f"{name}=" in repr(module) for name in settings)


@each_objective_that(
    lambda one: (
        takes_learnable_temperature(one)
        and plain_module(one)
        and one.name not in NOT_THE_DERIVATIVE
    )
)
def test_learnable_temperature(objective):
    example = examples(objective, 8)[0]
    helper = Temperature(0.2)
    example(temperature=helper()).backward()
    analytic = helper.log_scale.grad.item()
    losses = [example(temperature=0.2 * factor).item() for factor in (0.9999, 1.0001)]
    slope = (losses[0] - losses[1]) / 2e-4
    assert analytic == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert "temperature.log_scale" in objective.module(temperature=helper).state_dict()
    plain = objective.module(temperature=nn.Parameter(torch.tensor(0.2)))
    assert [name for name, _ in plain.named_parameters()] == ["temperature"]


@each_call
def test_a_row_of_nan_or_infinity_is_named(example):
    for name, given in example.inputs.items():
        for place, tensor in enumerate(given.tensors()):
            if not tensor.is_floating_point() or tensor.layout != torch.strided:
                continue
            for bad in (torch.nan, torch.inf):
                spoilt = [x.detach().clone() for x in given.tensors()]
                spoilt[place].select(given.axes[0] if given.axes else 0, -1).fill_(bad)
                value = spoilt if isinstance(given.value, list) else spoilt[0]
                where = f"row {tensor.shape[given.axes[0]] - 1}" if given.axes else ""
                with pytest.raises(CounterpointError, match=where):
                    example.with_inputs(**{name: value})()


@each_call
def test_embeddings_that_are_no_float_matrix_are_refused(example):
    for name, given in example.inputs.items():
        if not given.trained or not given.axes or isinstance(given.value, list):
            continue
        for wrong in (given.value.int(), torch.ones(8, 5, 1, 1, 1), given.value[:0]):
            if given.value.dim() == 2:
                with pytest.raises(CounterpointError):
                    example.with_inputs(**{name: wrong})()


@each_call
def test_sizes_that_differ_are_refused(example):
    sized = [name for name, x in example.inputs.items() if x.axes and x.tensors()]
    for name in sized if len(sized) > 1 else []:
        if (example.objective.name, name) in UNEQUAL_SIZES:
            continue
        fewer = replace(example, inputs={name: example.inputs[name]}).rows(slice(0, 7))
        with pytest.raises(CounterpointError):
            example.with_inputs(**{name: fewer.inputs[name].value})()


@each_objective
def test_bad_settings_are_refused(objective):
    for example in examples(objective, 8):
        if accepts(objective, "reduction"):
            with pytest.raises(SettingError, match="reduction"):
                example(reduction="median")
        for name in temperatures(objective):
            for wrong in (0, -0.1, float("nan"), float("inf"), torch.zeros(())):
                with pytest.raises(SettingError, match=name):
                    example(**{name: wrong})
        if accepts(objective, "ids"):
            for wrong in (torch.arange(5), torch.rand(8)):
                with pytest.raises(DataError, match="ids"):
                    example(ids=wrong)


@each_with(CALLS, "example", "temperature", (0.05, 0.005, 10.0))
def test_finite_at_any_temperature_and_with_zero_vectors(example, temperature):
    single = example.to(torch.float32)
    embeddings = [x.detach() for x in single.embeddings]
    for x in embeddings:
        x[1] = 0
    more = {"temperature": temperature} if accepts(example.objective, "temperature") else {}
    bound = float("inf") if example.objective.name in STEEP_AT_ZERO else 1e4 / temperature
    assert_finite(*value_and_gradients(single, *embeddings, **more), bound=bound)


@each_call
def test_identical_rows_and_zeros_give_a_finite_loss(example):
    same = [x[:1].expand_as(x).clone() for x in example.embeddings]
    assert_finite(*value_and_gradients(example, *same))
    assert_finite(*value_and_gradients(example, *map(torch.zeros_like, example.embeddings)))


@pytest.mark.parametrize("example", [x for x in CALLS if "labels" in x.inputs], ids=str)
def test_any_labels_give_a_finite_loss_or_an_error(example):
    labels = example.inputs["labels"].value
    one_class = torch.zeros_like(labels)
    class_of_one = one_class.clone()
    class_of_one[-1] = 1
    every_row_its_own = torch.arange(8).reshape(8, *[1] * (labels.dim() - 1)).expand_as(labels)
    for given in (one_class, class_of_one, every_row_its_own, -torch.ones_like(labels)):
        try:
            found = value_and_gradients(example.with_inputs(labels=given))
        except DataError:
            continue
        assert_finite(*found)
    with pytest.raises(DataError, match="labels"):
        example.with_inputs(labels=labels + 0.5)()


@pytest.mark.parametrize("example", [x for x in CALLS if accepts(x.objective, "ids")], ids=str)
def test_duplicates_alone_leave_no_negatives_but_a_finite_loss(example):
    same = torch.zeros(8, dtype=torch.long)
    more = {"negative_ids": same} if "negatives" in example.inputs else {}
    if "bank" in example.inputs:
        more = {"bank_ids": torch.zeros(len(example.inputs["bank"].value), dtype=torch.long)}
    try:
        found = value_and_gradients(example, ids=same, **more)
    except DataError:
        assert "hardest" in inspect.signature(example.objective.function).parameters
    else:
        assert_finite(*found)


@each_call
def test_autocast_changes_nothing(example):
    single = example.to(torch.float32)
    leaves = single.embeddings
    loss, grads = value_and_gradients(single)
    with torch.autocast("cpu", torch.bfloat16):
        found = single(*leaves)
    torch.testing.assert_close(found, loss, rtol=0, atol=0)
    torch.testing.assert_close(torch.autograd.grad(found, leaves), grads, rtol=0, atol=0)


@each_with(CALLS, "example", "normalize", (True, False))
def test_a_retained_graph_gives_the_same_gradients_again(example, normalize):
    takes = accepts(example.objective, "normalize")
    leaves = [x.detach().requires_grad_() for x in example.embeddings]
    loss = example(*leaves, **({"normalize": normalize} if takes else {}))
    once = torch.autograd.grad(loss, leaves, retain_graph=True)
    for _ in range(3):
        loss.backward(retain_graph=True)
    torch.testing.assert_close([x.grad for x in leaves], [3 * grad for grad in once])


class Kept:
    """Stands for a tensor saved for backward while that is alive."""

    def __init__(self, tensor):
        self.tensor = tensor

    def storages(self):
        x = self.tensor
        parts = [x._indices(), x._values()] if x.is_sparse else [x]
        return {part.untyped_storage() for part in parts}


def bytes_saved(example):
    alive = weakref.WeakSet()

    def keep(tensor):
        kept = Kept(tensor)
        alive.add(kept)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        loss = example()
    storages = {storage for kept in alive for storage in kept.storages()}
    total = sum({s.data_ptr(): s.nbytes() for s in storages}.values())
    loss.sum().backward()
    return total


@each_with(OBJECTIVES, "objective", "reduction", ("mean", "none"))
def test_bytes_saved_for_backward_grow_linearly(objective, reduction, monkeypatch):
    monkeypatch.setattr(tiles_module, "TILE", 32)
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 2048)
    for small, large in zip(examples(objective, 48), examples(objective, 192), strict=True):
        if accepts(objective, "reduction"):
            small.options["reduction"] = large.options["reduction"] = reduction
        linear = bytes_saved(large) < 4.5 * bytes_saved(small)
        assert linear == (objective.name not in QUADRATIC), str(large)


class Alive(TorchDispatchMode):
    """The most bytes of tensors that are alive at once."""

    def __init__(self):
        super().__init__()
        self.tensors, self.bytes = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for x in tree_leaves(made):
            if isinstance(x, Tensor) and x.layout == torch.strided:
                self.tensors[id(x)] = weakref.ref(x)
        alive = {place: x for place, ref in self.tensors.items() if (x := ref()) is not None}
        self.tensors = {place: self.tensors[place] for place in alive}
        storages = [x.untyped_storage() for x in alive.values()]
        self.bytes = max(self.bytes, sum({s.data_ptr(): s.nbytes() for s in storages}.values()))
        return made


def most_alive(example):
    with Alive() as seen:
        example().backward()
    return seen.bytes


@each_objective
def test_bytes_alive_at_any_time_grow_linearly(objective, monkeypatch):
    monkeypatch.setattr(tiles_module, "TILE", 32)
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 2048)
    linear = most_alive(examples(objective, 192)[0]) < 4.5 * most_alive(examples(objective, 48)[0])
    assert linear == (objective.name not in LARGE_FOR_A_MOMENT)


@pytest.mark.parametrize(
    "choose",
    [
        lambda z: distant_peer(z, torch.zeros(len(z), dtype=torch.int64)),
        lambda z: nearest_classes(z, z + 1).double().sum(),
    ],
)
def test_what_is_chosen_of_a_long_order_does_not_keep_the_order(choose, monkeypatch):
    monkeypatch.setattr(tiles_module, "TILE", 32)
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 2048)
    z = torch.randn(512, 4, dtype=torch.float64, requires_grad=True)
    with Alive() as seen:
        choose(z)
    assert seen.bytes < 512 * 512 * 8 / 4


@each_objective
def test_one_sample_gives_a_finite_loss_or_an_error(objective):
    try:
        found = value_and_gradients(examples(objective, 1)[0])
    except CounterpointError:
        return
    assert_finite(*found)


@each_objective
def test_a_loss_of_rows_is_the_mean_of_its_parts_and_no_other_is(objective):
    if objective.ranks == "global":
        example = examples(objective, 8)[0]
        torch.testing.assert_close(example(across_ranks=True), example(), rtol=1e-12, atol=1e-12)
        return
    whole = examples(objective, 8)[0]
    try:
        parts = [whole.rows(slice(0, 4))(), whole.rows(slice(4, 8))()]
    except DataError:
        assert objective.ranks == "batch"
        return
    assert torch.allclose(sum(parts) / 2, whole(), rtol=1e-9) == (objective.ranks == "rows")
