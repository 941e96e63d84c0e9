import json
import math
import subprocess
import sys

import pytest
import torch

from counterpoint.curation.loss_weights import (
    emphasis,
    loss_weights,
    spread_losses,
    weighted_loss,
)
from counterpoint.errors import DataError, SettingError

STRATEGIES = ("uniform", "linupper", "quadratic", "extremes", "upper")


@pytest.fixture
def losses():
    torch.manual_seed(0)
    return 3 * torch.rand(12, dtype=torch.float64)


def by_hand(losses, strategy, r, delta):
    low, high = min(losses), max(losses)
    h = [2 * delta * x / (high - low) - delta * (high + low) / (high - low) for x in losses]
    f = {
        "linupper": lambda x: min(x + delta, delta),
        "quadratic": lambda x: 1 - x**2 / delta**2,
        "extremes": abs,
        "upper": lambda x: (x + delta) / 2,
        "uniform": lambda x: 0.0,
    }[strategy]
    g = [math.exp(f(x) / r) for x in h]
    return torch.tensor([x / sum(g) for x in g], dtype=torch.float64)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("r", "delta"), [(1.0, 1.0), (0.4, 1.0), (0.7, 2.5)])
def test_equals_the_formula(losses, strategy, r, delta):
    found = loss_weights(losses, strategy, temperature=r, delta=delta)
    torch.testing.assert_close(found, by_hand(losses.tolist(), strategy, r, delta))
    assert found.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_shift_and_scale_change_nothing(losses, strategy):
    weights = loss_weights(losses, strategy)
    torch.testing.assert_close(loss_weights(7 * losses + 100, strategy), weights)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_high_temperature_is_uniform(losses, strategy):
    weights = loss_weights(losses, strategy, temperature=1e6)
    torch.testing.assert_close(weights, torch.full_like(losses, 1 / 12), atol=1e-6, rtol=0)


def test_linupper_rises_and_is_capped_above_the_middle_of_the_range(losses):
    losses = losses.sort().values
    weights = loss_weights(losses, temperature=0.4)
    assert (weights.diff() >= 0).all()
    upper = losses >= (losses[0] + losses[-1]) / 2
    assert weights[upper].unique().numel() == 1
    assert (weights.max() / weights.min()).item() == pytest.approx(math.exp(2.5))


def test_the_middle_is_of_the_range_and_not_the_median():
    weights = loss_weights(torch.tensor([1.0, 1.1, 1.2, 1.3, 9.0]))
    assert (weights[:4] < weights[4] / 2).all()


def test_quadratic_is_symmetric_about_the_middle():
    weights = loss_weights(torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]), "quadratic", delta=2.0)
    torch.testing.assert_close(weights, weights.flip(0))
    spread = torch.linspace(-2, 2, 5)
    assert emphasis(spread, "quadratic", 2.0).tolist() == [0, 0.75, 1, 0.75, 0]


def test_spread_keeps_its_digits_in_float32():
    losses = torch.tensor([5.0, 5.00001, 5.00002])
    spread = spread_losses(losses)
    assert spread.tolist() == pytest.approx([-1, 0, 1], abs=0.06)
    assert spread_losses(torch.full((4,), 2.5)).tolist() == [0, 0, 0, 0]
    assert loss_weights(torch.full((4,), 2.5)).tolist() == [0.25] * 4


def test_samples_without_tokens_are_left_out(losses):
    valid = torch.ones(12, dtype=torch.bool)
    valid[3] = valid[7] = False
    holes = losses.clone()
    holes[3] = holes[7] = float("nan")
    weights = loss_weights(holes, valid=valid)
    assert weights[3] == weights[7] == 0
    torch.testing.assert_close(weights[valid], loss_weights(losses[valid]))
    holes.requires_grad_()
    loss = weighted_loss(holes, weights)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, holes)[0]).all()
    assert loss_weights(holes, valid=torch.zeros_like(valid)).sum() == 0


def test_gradient_is_the_weight(losses):
    losses.requires_grad_()
    weights = loss_weights(losses)
    assert not weights.requires_grad
    (grad,) = torch.autograd.grad(weighted_loss(losses, weights), losses)
    torch.testing.assert_close(grad, weights)


def test_weighting_by_length(losses):
    weights = loss_weights(losses)
    tokens = torch.arange(1, 13)
    wanted = 12 * sum(w * n / 78 * x for w, n, x in zip(weights, tokens, losses, strict=True))
    torch.testing.assert_close(weighted_loss(losses, weights, tokens=tokens), wanted)
    same = torch.full((12,), 5)
    torch.testing.assert_close(
        weighted_loss(losses, weights, tokens=same), weighted_loss(losses, weights)
    )
    uniform = loss_weights(losses, "uniform")
    plain = (tokens * losses).sum() / tokens.sum()
    torch.testing.assert_close(weighted_loss(losses, uniform, tokens=tokens), plain)


def test_samples_whose_weight_vanishes_still_count_among_the_batch(losses):
    weights = loss_weights(losses, "upper", temperature=1e-4)
    heaviest = int(weights.argmax())
    tokens = torch.arange(1, 13)
    torch.testing.assert_close(weights[heaviest].item(), 1.0)
    wanted = 12 * tokens[heaviest] / 78 * losses[heaviest]
    torch.testing.assert_close(weighted_loss(losses, weights, tokens=tokens), wanted)


def test_half_precision_agrees(losses):
    half = losses.to(torch.bfloat16)
    torch.testing.assert_close(loss_weights(half), loss_weights(half.float()))


def test_bad_input_is_refused(losses):
    with pytest.raises(DataError, match="sample 2"):
        loss_weights(torch.tensor([1.0, 2.0, float("inf")]))
    with pytest.raises(DataError, match="one a sample"):
        loss_weights(losses[None])
    with pytest.raises(DataError, match="valid"):
        loss_weights(losses, valid=torch.ones(3, dtype=torch.bool))
    with pytest.raises(DataError, match="one shape"):
        weighted_loss(losses, losses[:3])
    with pytest.raises(SettingError, match="linupper"):
        loss_weights(losses, "lower")
    with pytest.raises(SettingError, match="temperature"):
        loss_weights(losses, temperature=0.0)
    with pytest.raises(SettingError, match="delta"):
        loss_weights(losses, delta=0.0)


WORKER = """
import json, sys, torch
from counterpoint.curation.loss_weights import loss_weights, weighted_loss
place, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=store, rank=place, world_size=2)
torch.manual_seed(0)
losses = 3 * torch.rand(12, dtype=torch.float64)
own = (losses[:5] if place == 0 else losses[5:]).requires_grad_()
weights = loss_weights(own, across_ranks=True)
loss = weighted_loss(own, weights, across_ranks=True)
(grad,) = torch.autograd.grad(loss, own)
print(json.dumps([weights.tolist(), loss.item(), grad.tolist()]))
torch.distributed.destroy_process_group()
"""


@pytest.mark.ranks
def test_two_ranks_equal_one_process(losses, tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(place), f"file://{tmp_path}/store"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for place in range(2)
    ]
    parts = [json.loads(process.communicate(timeout=120)[0]) for process in started]
    weights = loss_weights(losses)
    joined = torch.tensor(parts[0][0] + parts[1][0], dtype=torch.float64)
    torch.testing.assert_close(joined, weights)
    for _, loss, _ in parts:
        assert loss == pytest.approx(weighted_loss(losses, weights).item())
    gradient = torch.tensor(parts[0][2] + parts[1][2], dtype=torch.float64)
    torch.testing.assert_close(gradient / 2, weights)
