import math

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.d2o import D2O, d2o
from counterpoint.objectives.preference import dpo


def draw(b=6, k=5, seed=0, requires_grad=True):
    torch.manual_seed(seed)
    shapes = [(b, k), (b,), (b, k), (b,)]
    logs = [-4 * torch.rand(shape, dtype=torch.float64) for shape in shapes]
    return [x.requires_grad_(requires_grad) for x in logs]


def by_hand(ps, pn, rs, rn, alpha, beta):
    out = []
    for i in range(len(pn)):
        total = sum(ps[i, k].item() - rs[i, k].item() for k in range(ps.shape[1]))
        u = beta / ps.shape[1] * total - alpha * (pn[i].item() - rn[i].item())
        out.append(math.log1p(math.exp(-u)))
    return torch.tensor(out, dtype=torch.float64)


def test_equals_a_loop():
    logs = draw()
    found = d2o(*logs, alpha=0.7, beta=0.3, reduction="none")
    torch.testing.assert_close(found, by_hand(*logs, 0.7, 0.3), rtol=1e-12, atol=0)
    torch.testing.assert_close(d2o(*logs, alpha=0.7, beta=0.3), found.mean())
    torch.testing.assert_close(D2O(alpha=0.7, beta=0.3, reduction="sum")(*logs), found.sum())


def test_gradient_is_the_closed_form():
    ps, pn, rs, rn = draw()
    alpha, beta, k = 0.7, 0.3, ps.shape[1]
    u = beta * (ps - rs).mean(1) - alpha * (pn - rn)
    weight = torch.sigmoid(-u).detach()
    grads = torch.autograd.grad(
        d2o(ps, pn, rs, rn, alpha=alpha, beta=beta, reduction="sum"),
        [ps, pn, rs, rn],
        allow_unused=True,
    )
    torch.testing.assert_close(grads[0], (-weight * beta / k)[:, None].expand_as(ps))
    torch.testing.assert_close(grads[1], weight * alpha)
    assert grads[2:] == (None, None)


def test_gradcheck():
    ps, pn, rs, rn = draw(b=3, k=2)
    assert torch.autograd.gradcheck(lambda a, b: d2o(a, b, rs, rn, alpha=0.5, beta=2.0), [ps, pn])


def test_policy_equal_to_reference_gives_log_two():
    ps, pn, _, _ = draw()
    assert d2o(ps, pn, ps, pn).item() == pytest.approx(math.log(2), rel=1e-12)


def test_one_sample_and_equal_weights_is_dpo():
    ps, pn, rs, rn = draw(k=1)
    torch.testing.assert_close(
        d2o(ps, pn, rs, rn, alpha=0.4, beta=0.4, reduction="none"),
        dpo(ps[:, 0], pn, rs[:, 0], rn, beta=0.4, reduction="none"),
    )


def test_bounded_by_the_mean_of_the_dpo_losses():
    ps, pn, rs, rn = draw(b=200, k=7)
    settings = {"beta": 3.0, "reduction": "none"}
    each = torch.stack([dpo(ps[:, k], pn, rs[:, k], rn, **settings) for k in range(7)], 1).mean(1)
    together = d2o(ps, pn, rs, rn, alpha=3.0, **settings)
    assert (together < each).all()
    same = ps[:, :1].expand(-1, 7), rs[:, :1].expand(-1, 7)
    equal = d2o(same[0], pn, same[1], rn, alpha=3.0, **settings)
    torch.testing.assert_close(equal, dpo(ps[:, 0], pn, rs[:, 0], rn, **settings))


def test_each_weight_acts_on_its_own_part():
    ps, pn, rs, rn = draw()
    other = d2o(ps, pn + 1.0, rs, rn, alpha=0.2, beta=0.9, reduction="none")
    u = 0.9 * (ps - rs).mean(1) - 0.2 * (pn + 1.0 - rn)
    torch.testing.assert_close(other, torch.nn.functional.softplus(-u))


def test_copies_of_the_samples_change_nothing():
    ps, pn, rs, rn = draw()
    torch.testing.assert_close(d2o(ps.repeat(1, 4), pn, rs.repeat(1, 4), rn), d2o(ps, pn, rs, rn))


def test_missing_samples_leave_the_average():
    ps, pn, rs, rn = draw(b=3, k=4, requires_grad=False)
    valid = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    ps[0, 2:] = float("nan")
    ps.requires_grad_()
    found = d2o(ps, pn, rs, rn, valid=valid, reduction="none")
    torch.testing.assert_close(found[:1], d2o(ps[:1, :2], pn[:1], rs[:1, :2], rn[:1])[None])
    assert found[1] == 0
    mean = d2o(ps, pn, rs, rn, valid=valid)
    torch.testing.assert_close(mean, (found[0] + found[2]) / 2)
    assert torch.isfinite(torch.autograd.grad(mean, ps)[0]).all()
    assert d2o(ps, pn, rs, rn, valid=torch.zeros_like(valid)) == 0


def test_sums_of_a_thousand_nats_stay_finite():
    values = [torch.tensor([[-1000.0, -3000.0]]), torch.tensor([-10.0])]
    zero = [torch.zeros_like(x) for x in values]
    assert d2o(*values, *zero, alpha=1.0, beta=1.0).item() == pytest.approx(1990.0)
    assert d2o(*zero, *values, alpha=1.0, beta=1.0).item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_agrees(dtype):
    logs = [x.detach().to(dtype) for x in draw()]
    full = d2o(*[x.double() for x in logs])
    torch.testing.assert_close(d2o(*logs).double(), full, rtol=1e-2, atol=1e-2)


def test_bad_input_is_refused():
    ps, pn, rs, rn = draw()
    with pytest.raises(DataError, match="policy_self and reference_self must be"):
        d2o(pn, pn, rn, rn)
    with pytest.raises(DataError, match="reference_self"):
        d2o(ps, pn, rs[:, :2], rn)
    with pytest.raises(DataError, match="policy_negative has 6 of 6"):
        d2o(ps, pn * float("inf"), rs, rn)
    with pytest.raises(DataError, match="valid"):
        d2o(ps, pn, rs, rn, valid=torch.ones(6, 5))
    for name in ("alpha", "beta"):
        with pytest.raises(SettingError, match=name):
            d2o(ps, pn, rs, rn, **{name: 0.0})
