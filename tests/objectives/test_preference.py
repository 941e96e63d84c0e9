import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import preference as p


@pytest.fixture
def logs() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [(-3 * torch.rand(6, dtype=torch.float64) - 0.01).requires_grad_() for _ in range(4)]


def rho(logs):
    w, lost, rw, rl = logs
    return w - lost - rw + rl


CASES = {
    "dpo": (lambda *x: p.dpo(*x, beta=0.3, reduction="none"), lambda x: -logsigmoid(0.3 * rho(x))),
    "cdpo": (
        lambda *x: p.dpo(*x, beta=0.3, label_smoothing=0.1, reduction="none"),
        lambda x: -0.9 * logsigmoid(0.3 * rho(x)) - 0.1 * logsigmoid(-0.3 * rho(x)),
    ),
    "odpo": (
        lambda *x: p.dpo(*x, beta=0.3, offset=0.2, reduction="none"),
        lambda x: -logsigmoid(0.3 * rho(x) - 0.2),
    ),
    "ipo": (
        lambda *x: p.ipo(*x, beta=0.3, reduction="none"),
        lambda x: (rho(x) - 1 / 0.6) ** 2,
    ),
    "dpop": (
        lambda *x: p.dpop(*x, beta=0.3, weight=5.0, reduction="none"),
        lambda x: -logsigmoid(0.3 * (rho(x) - 5 * torch.relu(x[2] - x[0]))),
    ),
    "cpo": (
        lambda w, lost, *_: p.cpo(w, lost, beta=0.3, nll_weight=0.5, reduction="none"),
        lambda x: -logsigmoid(0.3 * (x[0] - x[1])) - 0.5 * x[0],
    ),
    "slic": (
        lambda w, lost, *_: p.slic(w, lost, beta=0.7, reduction="none"),
        lambda x: torch.relu(0.7 - x[0] + x[1]),
    ),
    "orpo": (
        lambda w, lost, *_: p.orpo(w, lost, reduction="none"),
        lambda x: (
            -logsigmoid(x[0] - x[1] - torch.log1p(-torch.exp(x[0])) + torch.log1p(-torch.exp(x[1])))
        ),
    ),
    "simpo": (
        lambda w, lost, *_: p.simpo(w, lost, beta=2.0, margin=0.5, reduction="none"),
        lambda x: -logsigmoid(2 * (x[0] - x[1] - 0.5)),
    ),
    "simpo_hinge": (
        lambda w, lost, *_: p.simpo(w, lost, beta=2.0, margin=0.5, form="hinge", reduction="none"),
        lambda x: torch.relu(1 - 2 * (x[0] - x[1] - 0.5)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_those_of_the_formula(logs, name):
    function, formula = CASES[name]
    found, wanted = function(*logs), formula(logs)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for x in logs[:2]:
        a, b = (torch.autograd.grad(v.mean(), x, retain_graph=True)[0] for v in (found, wanted))
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["dpo", "ipo", "dpop"])
def test_the_reference_gets_no_gradient(logs, name):
    found = CASES[name][0](*logs).sum()
    assert torch.autograd.grad(found, logs[2:], allow_unused=True) == (None, None)


def test_kto_is_its_formula_and_moves_the_right_way():
    policy = torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-1.5, -1.0, -3.0], dtype=torch.float64)
    desirable = torch.tensor([True, False, True])
    found = p.kto(
        policy, reference, desirable, kl=0.4, beta=0.5, undesirable_weight=2.0, reduction="none"
    )
    r, z = 0.5 * (policy - reference), 0.5 * 0.4
    wanted = [1 - torch.sigmoid(r[0] - z), 2 * (1 - torch.sigmoid(z - r[1])), 0]
    wanted[2] = 1 - torch.sigmoid(r[2] - z)
    torch.testing.assert_close(found, torch.stack(wanted))
    assert torch.autograd.grad(found.sum(), policy)[0].sign().tolist() == [-1, 1, -1]
    clipped = p.kto(policy, reference, desirable, kl=-3.0)
    torch.testing.assert_close(clipped, p.kto(policy, reference, desirable, kl=0.0))
    with pytest.raises(DataError, match="bool"):
        p.kto(policy, reference, torch.tensor([1, 0, 1]))


def test_policy_equal_to_reference_gives_log_two(logs):
    w, lost = logs[:2]
    assert p.dpo(w, lost, w, lost).item() == pytest.approx(math.log(2))


def test_reference_free_dpo_is_cpo(logs):
    w, lost = logs[:2]
    zero = torch.zeros(6, dtype=torch.float64)
    torch.testing.assert_close(p.dpo(w, lost, zero, zero), p.cpo(w, lost))
    torch.testing.assert_close(p.simpo(w, lost, beta=0.1, margin=0.0), p.cpo(w, lost))
    torch.testing.assert_close(p.dpop(*logs, weight=0.0), p.dpo(*logs))


def test_hinges_of_simpo_and_slic_differ(logs):
    w, lost = logs[:2]
    simpo = p.simpo(w, lost, beta=2.0, margin=0.0, form="hinge", reduction="none")
    slic = p.slic(w, lost, beta=2.0, reduction="none")
    assert not torch.allclose(simpo, slic)
    torch.testing.assert_close(simpo, 2 * p.slic(w, lost, beta=0.5, reduction="none"))


def test_tiny_probabilities_make_orpo_cpo():
    w, lost = torch.tensor([-900.0, -50.0]), torch.tensor([-905.0, -48.0])
    torch.testing.assert_close(p.orpo(w, lost), p.cpo(w, lost, beta=1.0))


def test_certainty_stays_finite():
    w, lost = torch.tensor([0.0]), torch.tensor([-1.0])
    assert torch.isfinite(p.orpo(w, lost))
    assert torch.isfinite(p.orpo(lost, w))


def test_smoothing_and_reductions(logs):
    each = p.dpo(*logs, reduction="none")
    torch.testing.assert_close(p.dpo(*logs), each.mean())
    torch.testing.assert_close(p.dpo(*logs, reduction="sum"), each.sum())


def test_rewards_are_scaled_log_ratios(logs):
    reward = p.implicit_reward(logs[0], logs[2], beta=0.2)
    torch.testing.assert_close(reward, 0.2 * (logs[0] - logs[2]).detach())
    assert not reward.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_agrees(logs, dtype):
    half = [x.detach().to(dtype) for x in logs]
    full = p.dpo(*[x.double() for x in half], beta=0.5)
    torch.testing.assert_close(p.dpo(*half, beta=0.5).double(), full, rtol=2e-2, atol=2e-2)


def test_bad_input_is_refused(logs):
    w, lost, rw, rl = logs
    with pytest.raises(DataError, match="policy_l"):
        p.cpo(w, lost[:3])
    with pytest.raises(DataError, match="reference_w has 6 of 6 values"):
        p.dpo(w, lost, rw * float("nan"), rl)
    with pytest.raises(DataError, match="above 0"):
        p.orpo(w, -lost)
    assert p.cpo(w[:0], lost[:0]) == 0
    with pytest.raises(SettingError, match="beta"):
        p.dpo(*logs, beta=0.0)
    with pytest.raises(SettingError, match="margin"):
        p.slic(w, lost, beta=-1.0)
    with pytest.raises(SettingError, match="form"):
        p.simpo(w, lost, form="squared")
    with pytest.raises(SettingError, match="reduction"):
        p.cpo(w, lost, reduction="median")


@pytest.mark.parametrize(
    ("module", "function", "count"),
    [
        (
            p.DPO(beta=0.3, label_smoothing=0.1),
            lambda *x: p.dpo(*x, beta=0.3, label_smoothing=0.1),
            4,
        ),
        (p.IPO(beta=0.3), lambda *x: p.ipo(*x, beta=0.3), 4),
        (p.DPOP(weight=3.0), lambda *x: p.dpop(*x, weight=3.0), 4),
        (p.CPO(nll_weight=1.0), lambda *x: p.cpo(*x, nll_weight=1.0), 2),
        (p.SLiC(beta=0.3), lambda *x: p.slic(*x, beta=0.3), 2),
        (p.ORPO(nll_weight=1.0), lambda *x: p.orpo(*x, nll_weight=1.0), 2),
        (p.SimPO(form="hinge"), lambda *x: p.simpo(*x, form="hinge"), 2),
    ],
    ids=lambda x: type(x).__name__,
)
def test_modules_are_their_functions(logs, module, function, count):
    assert torch.equal(module(*logs[:count]), function(*logs[:count]))


def test_kto_module():
    values = torch.tensor([-1.0, -2.0]), torch.tensor([-2.0, -1.0]), torch.tensor([True, False])
    assert torch.equal(p.KTO(beta=0.5)(*values, kl=0.2), p.kto(*values, kl=0.2, beta=0.5))
