import pytest
import torch
from torch.nn.functional import binary_cross_entropy, normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.groco import GroCo, groco, group_gap
from counterpoint.pairs.sorting import ascending, soft_sort, upper_shares

RELAXATIONS = ["cauchy", "logistic", "logistic_phi", "gaussian", "reciprocal", "optimal"]


def draw(views=3, n=6, d=4):
    torch.manual_seed(0)
    return [torch.randn(n, d, dtype=torch.float64, requires_grad=True) for _ in range(views)]


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("network", ["odd_even", "bitonic"])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_soft_permutations_are_doubly_stochastic(network, relaxation, n):
    torch.manual_seed(n)
    x = torch.randn(3, n, dtype=torch.float64, requires_grad=True)
    ordered, shares = soft_sort(x, network, relaxation, steepness=2.0)
    ones = torch.ones(3, n, dtype=torch.float64)
    torch.testing.assert_close(shares.sum(1), ones)
    torch.testing.assert_close(shares.sum(2), ones)
    torch.testing.assert_close(ordered.sum(1), x.sum(1))
    upper = upper_shares(x, n // 2, network, relaxation, steepness=2.0)
    torch.testing.assert_close(upper, shares[:, :, n // 2 :].sum(2))
    steep, hard = soft_sort(x, network, relaxation, steepness=1e9)
    torch.testing.assert_close(steep, x.sort(1).values, atol=1e-6, rtol=0)
    torch.testing.assert_close(hard.argmax(2), x.argsort(1).argsort(1))


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_comparisons_are_symmetric_and_half_at_a_tie(relaxation):
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    share = ascending(x, relaxation, 2.0)
    torch.testing.assert_close(share + share.flip(0), torch.ones_like(x))
    assert share[6] == 0.5
    assert (share.diff() > 0).all()


@pytest.mark.parametrize(("positive", "stop"), [(3, True), (2, True), (3, False)])
def test_equals_a_loop(positive, stop):
    views = draw(3)
    found = groco(*views, hardest=3, positive_views=positive, stop_gradient=stop, reduction="none")
    z = [normalize(v, dim=1) for v in views]
    fixed = [x.detach() for x in z] if stop else z
    values = []
    for a in range(3):
        for i in range(6):
            away = torch.stack([z[a][i] @ fixed[a][j] for j in range(6) if j != i])
            near = torch.stack([z[a][i] @ fixed[b][i] for b in range(positive) if b != a])
            scores = torch.cat([away.sort().values[-3:], near.sort().values])
            _, shares = soft_sort(scores[None])
            p = shares[0, :, 3:].sum(1)
            target = (torch.arange(len(scores)) >= 3).double()
            values.append(binary_cross_entropy(p, target))
    wanted = torch.stack(values)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(found.mean(), views), torch.autograd.grad(wanted.mean(), views)
    )


def test_gradient_numerically():
    z1, z2 = draw(2)
    call = lambda a, b: groco(a, b, hardest=3, stop_gradient=False)  # noqa: E731
    assert torch.autograd.gradcheck(call, (z1, z2))


def test_a_perfect_order_costs_nothing_when_steep():
    z = torch.eye(4, dtype=torch.float64)
    assert groco(z, z, steepness=1e6).item() == pytest.approx(0, abs=1e-5)
    assert groco(z, z) > 0.1
    assert group_gap(z, z)["gap"] == 1


def test_the_hardest_negative_and_weakest_positive_are_moved_most():
    torch.manual_seed(0)
    pushed, pulled = torch.zeros(5, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for _ in range(200):
        s = torch.rand(8, dtype=torch.float64)
        x = torch.cat([s[:5].sort().values, s[5:].sort().values]).requires_grad_()
        p = upper_shares(x[None], 5)[0]
        loss = binary_cross_entropy(p, (torch.arange(8) >= 5).double())
        (grad,) = torch.autograd.grad(loss, x)
        pushed += grad[:5].abs()
        pulled += grad[5:].abs()
    assert pushed[-1] > pushed[0]
    assert pulled[0] > pulled[-1]


def test_ties_small_batches_and_steep_relaxations_stay_finite():
    views = draw(2, n=3)
    torch.testing.assert_close(groco(*views, hardest=10), groco(*views, hardest=2))
    same = [torch.ones(4, 3, requires_grad=True) for _ in range(2)]
    for relaxation in RELAXATIONS:
        loss = groco(*same, relaxation=relaxation, steepness=1e4)
        assert torch.isfinite(loss)
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, same))


def test_module_and_bad_input():
    views = draw(3)
    assert torch.equal(GroCo(hardest=2)(*views), groco(*views, hardest=2))
    with pytest.raises(DataError, match="two views"):
        groco(views[0])
    with pytest.raises(DataError, match="at least 2"):
        groco(views[0][:1], views[1][:1])
    with pytest.raises(DataError, match="fewer than 5"):
        groco(*views, hardest=5, ids=torch.tensor([0, 0, 1, 2, 3, 4]))
    for wrong in ({"hardest": 0}, {"positive_views": 1}, {"steepness": 0}, {"network": "bubble"}):
        with pytest.raises(SettingError):
            groco(*views, **wrong)
    with pytest.raises(SettingError, match="relaxation"):
        groco(*views, relaxation="hard")
