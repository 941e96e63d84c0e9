import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.cacr import (
    CACR,
    CACRMomentum,
    CACRQueue,
    attraction_weights,
    cacr,
    cacr_momentum,
    cacr_queue,
    repulsion_weights,
)


def draw(views=3, n=6, d=4, seed=0):
    torch.manual_seed(seed)
    return [
        normalize(torch.randn(n, d, dtype=torch.float64), dim=1).requires_grad_()
        for _ in range(views)
    ]


def squared(u, v):
    return ((u - v) ** 2).sum()


def loop(views, t_positive, t_negative, tau_plus=0.0):
    count, n = len(views), len(views[0])
    values = []
    for i in range(n):
        attraction, repulsion = 0.0, 0.0
        for a in range(count):
            costs = torch.stack([squared(views[a][i], views[b][i]) for b in range(count) if b != a])
            attraction += ((t_positive * costs).softmax(0) * costs).sum() / count
        pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
        for a, b in pairs:
            costs = torch.stack([squared(views[a][i], views[b][j]) for j in range(n) if j != i])
            term = -((-t_negative * costs).softmax(0) * costs).sum()
            term = (term - tau_plus * squared(views[a][i], views[b][i])) / (1 - tau_plus)
            repulsion += term / len(pairs)
        values.append(attraction + repulsion)
    return torch.stack(values)


@pytest.mark.parametrize(("count", "tau_plus"), [(2, 0.0), (3, 0.0), (4, 0.2)])
def test_equals_a_loop(count, tau_plus):
    views = draw(count)
    found = cacr(
        *views, t_positive=1.3, t_negative=0.7, tau_plus=tau_plus, reduction="none", normalize=False
    )
    wanted = loop(views, 1.3, 0.7, tau_plus)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(found.mean(), views), torch.autograd.grad(wanted.mean(), views)
    )
    assert torch.autograd.gradcheck(lambda *z: cacr(*z, tau_plus=tau_plus), views)


@pytest.mark.parametrize("cost", ["euclidean", "rbf"])
def test_attraction_alone_needs_no_second_sample(cost):
    views = draw(3)
    found = cacr(*views, beta=0.0, cost=cost)
    each = torch.stack(
        [cacr(*(z[i : i + 1] for z in views), beta=0.0, cost=cost) for i in range(6)]
    )
    torch.testing.assert_close(found, each.mean())
    weights = attraction_weights(views)
    costs = [[(a - b).square().sum(1) for b in views if b is not a] for a in views]
    wanted = (weights * torch.stack([torch.stack(c, 1) for c in costs])).sum(2).mean()
    torch.testing.assert_close(found, wanted)


def test_rbf_repulsion_equals_the_dense_formula():
    views = draw(3)
    found = cacr(*views, alpha=0.0, beta=2.0, t_negative=0.9, cost="rbf", cost_scale=1.5)
    terms = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        d = torch.cdist(views[a], views[b]).square()
        weights = (-0.9 * d).fill_diagonal_(-torch.inf).softmax(1)
        terms.append(((-1.5 * d).exp() * weights).sum(1).mean().log())
    torch.testing.assert_close(found, 2 * torch.stack(terms).mean())
    assert torch.autograd.gradcheck(lambda *z: cacr(*z, cost="rbf"), views)


def test_more_distant_positives_and_closer_negatives_weigh_more():
    views = draw(4)
    costs = torch.stack([(views[0] - v).square().sum(1) for v in views[1:]], 1)
    weights = attraction_weights(views, 1.0)[0]
    assert torch.equal(weights.argsort(1), costs.argsort(1))
    away = torch.cdist(views[0], views[1]).square()
    repelled = repulsion_weights(views[0], views[1], 2.0)
    assert (repelled.diagonal() == 0).all()
    torch.testing.assert_close(repelled.sum(1), torch.ones(6, dtype=torch.float64))
    others = ~torch.eye(6, dtype=torch.bool)
    for row in range(6):
        assert torch.equal(
            repelled[row][others[row]].argsort(), away[row][others[row]].argsort(descending=True)
        )


def test_without_sharpness_it_is_the_uniform_form():
    z1, z2 = draw(2)
    d = torch.cdist(z1, z2).square()
    off = (d.sum() - d.diagonal().sum()) / 30
    torch.testing.assert_close(cacr(z1, z2, t_positive=0, t_negative=0), d.diagonal().mean() - off)
    torch.testing.assert_close(cacr(z1, z2, t_positive=9, beta=0), d.diagonal().mean())


def test_equal_points_give_nothing_and_it_is_bounded_below():
    same = [torch.ones(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    loss = cacr(*same)
    assert abs(loss.item()) < 1e-12
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, same))
    tight = [x.detach() for x in same]
    assert cacr_momentum(*tight[:2], key=tight[2], temperature=0.3).item() == pytest.approx(
        0.6 * math.log(5)
    )
    assert cacr_momentum(*tight[:2], key=tight[2], cost="euclidean").abs() < 1e-12
    apart = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert cacr(apart, apart).item() == pytest.approx(-4)
    assert cacr(apart, -apart, tau_plus=0.1, alpha=0).item() >= -4 * 1.1 / 0.9


def test_ids_mark_duplicates():
    z1, z2 = draw(2)
    ids = torch.tensor([0, 0, 1, 2, 3, 4])
    d = torch.cdist(z1, z2).square()
    weights = (-2 * d).masked_fill(ids[:, None] == ids, -torch.inf).softmax(1)
    torch.testing.assert_close(cacr(z1, z2, alpha=0, ids=ids), -(weights * d).sum(1).mean())
    assert cacr(z1, z2, alpha=0, ids=torch.zeros(6).long()) == 0


@pytest.mark.parametrize("in_batch", [False, True])
def test_queue_form_detaches_the_weights_of_keys_and_queue(in_batch):
    q, k = draw(2, seed=1), draw(2, seed=2)
    queue = normalize(torch.randn(7, 4, dtype=torch.float64), dim=1)
    found = cacr_queue(
        q, k, queue, t_positive=1.0, t_negative=1.5, alpha=3.0, in_batch=in_batch, normalize=False
    )
    wanted = 0.0
    for a, other in ((0, 1), (1, 0)):
        pulled = (q[a] - k[other].detach()).square().sum(1)
        cost = torch.cdist(q[a], queue).square()
        logits = cost.detach()
        if in_batch:
            batch = (q[a][:, None] - q[a]).square().sum(2)
            cost = torch.cat([batch, cost], 1)
            own = torch.eye(6, 13, dtype=torch.bool)
            logits = torch.cat([batch, logits], 1).masked_fill(own, torch.inf)
        weights = (-1.5 * logits).softmax(1)
        wanted += (3 * pulled - (cost * weights).sum(1)).mean() / 2
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad(found, q), torch.autograd.grad(wanted, q))
    assert torch.autograd.grad(cacr_queue(q, k, queue), k, allow_unused=True) == (None, None)


def test_modules_equal_functions():
    views, queue = draw(3), torch.randn(5, 4, dtype=torch.float64)
    assert torch.equal(CACR(t_negative=0.9)(*views), cacr(*views, t_negative=0.9))
    assert torch.equal(
        CACRQueue(beta=2.0)(views, views, queue), cacr_queue(views, views, queue, beta=2.0)
    )
    assert torch.equal(
        CACRMomentum(0.2)(*views[:2], key=views[2]),
        cacr_momentum(*views[:2], key=views[2], temperature=0.2),
    )


def test_bad_input_is_refused():
    z1, z2, z3 = draw(3)
    with pytest.raises(DataError, match="two views"):
        cacr(z1)
    with pytest.raises(DataError, match="at least 2"):
        cacr(z1[:1], z2[:1])
    with pytest.raises(DataError, match="z2 holds NaN"):
        cacr(z1, z2 * torch.nan)
    for wrong in ({"tau_plus": 1.0}, {"t_negative": -1.0}, {"cost": "city"}, {"cost_scale": 0}):
        with pytest.raises(SettingError):
            cacr(z1, z2, **wrong)
    with pytest.raises(SettingError, match="mean over the batch"):
        cacr(z1, z2, cost="rbf", reduction="none")
    with pytest.raises(SettingError, match="temperature"):
        cacr_momentum(z1, z2, key=z3, temperature=0)
