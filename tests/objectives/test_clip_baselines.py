import itertools
import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

from counterpoint.engine import rows as rows_module
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.clip import clip
from counterpoint.objectives.clip_baselines import (
    CL2L,
    BarLIP,
    SiamLIP,
    SwALIP,
    SwALIPPrototypes,
    barlip,
    cl2l,
    cl2l_parts,
    siamlip,
    swalip,
    swalip_prototypes,
)
from counterpoint.pairs.sinkhorn import balanced_assignment, balancing_offsets


def draw(*shapes, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def same(found, wanted, leaves):
    torch.testing.assert_close(found, wanted)
    grads = [torch.autograd.grad(value, leaves, allow_unused=True) for value in (found, wanted)]
    for grad, want in zip(*grads, strict=True):
        torch.testing.assert_close(grad, want)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cl2l_is_the_dense_formula(views, smoothing):
    leaves = draw((5, 4), (5, 4), (5, views, 3), (5, views, 3))
    x, y, xs, ys = (normalize(z, dim=-1) for z in leaves)
    own = torch.arange(5)

    def ce(s, e):
        return cross_entropy(s, own, label_smoothing=e)

    pairs = [xs[:, a] @ ys[:, b].T / 0.3 for a in range(views) for b in range(views)]
    sides = pairs, [s.T for s in pairs]
    local = [torch.stack([ce(s, smoothing) for s in side]).mean() for side in sides]
    whole = [ce(x @ y.T / 0.2, 0.0), ce(y @ x.T / 0.2, 0.0)]
    joined = [(g + views * part) / (1 + views) for g, part in zip(whole, local, strict=True)]
    part = cl2l_parts(*leaves, 0.2, 0.3, label_smoothing=smoothing)
    torch.testing.assert_close(tuple(part), (*whole, *local, *joined))
    same(cl2l(*leaves, 0.2, 0.3, label_smoothing=smoothing), sum(joined), leaves)
    settings = {"label_smoothing": smoothing, "total": "mean"}
    mean = cl2l(*leaves, 0.2, 0.3, **settings)
    torch.testing.assert_close(mean, sum(joined) / 2)
    torch.testing.assert_close(CL2L(0.2, 0.3, **settings)(*leaves), mean)


def test_cl2l_without_views_is_clip():
    x, y = draw((6, 4), (6, 4))
    same(cl2l(x, y, temperature=0.1, total="mean"), clip(x, y, 0.1), [x, y])
    torch.testing.assert_close(cl2l(x, y, temperature=0.1), 2 * clip(x, y, 0.1))
    shared = cl2l(x, y, x[:, None], y[:, None], 0.1, 0.1, label_smoothing=0, total="mean")
    torch.testing.assert_close(shared, clip(x, y, 0.1))


def test_siamlip_is_a_loop():
    leaves = draw(*[(5, 3, 4)] * 4)
    pi, pt, vi, vt = leaves

    def d(p, v):
        return (2 - 2 * cosine_similarity(p, v.detach())).mean()

    pairs = [(0, 0), (1, 1), (1, 2), (2, 1), (2, 2)]
    terms = [d(p[:, a], v[:, b]) for p, v in ((pi, vt), (pt, vi)) for a, b in pairs]
    same(siamlip(*leaves), torch.stack(terms).mean(), [pi, pt])
    assert torch.autograd.grad(siamlip(*leaves), [vi, vt], allow_unused=True) == (None, None)
    torch.testing.assert_close(SiamLIP()(*leaves), siamlip(*leaves))
    free = torch.autograd.grad(siamlip(*leaves, stop_gradient=False), [vi, vt])
    assert all(grad.abs().max() > 0 for grad in free)
    alone = siamlip(pi[:, 0], pt[:, 0], vi[:, 0], vt[:, 0])
    torch.testing.assert_close(alone, (d(pi[:, 0], vt[:, 0]) + d(pt[:, 0], vi[:, 0])) / 2)
    assert siamlip(pi[:, 0], pt[:, 0], pt[:, 0], pi[:, 0]).abs() < 1e-12


def test_barlip_is_a_loop():
    leaves = draw((6, 3, 4), (6, 3, 4))
    x, y = leaves
    terms = []
    for a, b in [(0, 0), (1, 1), (1, 2), (2, 1), (2, 2)]:
        total = 0
        for k in range(4):
            for m in range(4):
                c = (x[:, a, k] * y[:, b, m]).sum() / 6
                total = total + ((c - 1) ** 2 if k == m else 0.01 * c**2)
        terms.append(0.5 * total)
    settings = {"off_diagonal": 0.01, "scale": 0.5}
    same(barlip(*leaves, **settings), torch.stack(terms).mean(), leaves)
    torch.testing.assert_close(BarLIP(**settings)(*leaves), barlip(*leaves, **settings))
    constant = torch.zeros(6, 4)
    assert barlip(constant, constant).item() == pytest.approx(4 * 0.025)


def dense_entropy(target, logits):
    return -(target.detach() * logits.log_softmax(1)).sum(1).mean()


def assignment(scores, epsilon, iterations):
    """As the authors write it: no logarithms."""
    q = (scores.detach() / epsilon).exp().T
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 3), (0.3, 1), (0.02, 8)])
def test_swalip_is_the_dense_formula(epsilon, iterations, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 88)
    leaves = draw((11, 2, 4), (11, 2, 4))
    x, y = (normalize(z, dim=2) for z in leaves)
    losses = []
    for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for u, v in ((x, y), (y, x)):
            sought = assignment(u[:, 1 - a] @ v[:, 1 - b].T, epsilon, iterations)
            losses.append(dense_entropy(sought, u[:, a] @ v[:, b].T / 0.2))
    settings = {"epsilon": epsilon, "iterations": iterations}
    found = swalip(*leaves, 0.2, **settings)
    same(found, torch.stack(losses).mean(), leaves)
    torch.testing.assert_close(SwALIP(0.2, **settings)(*leaves), found)


def test_swalip_with_prototypes_is_the_dense_formula():
    leaves = draw((7, 4), (7, 4), (3, 4))
    x, y, c = (normalize(z, dim=1) for z in leaves)
    sought = [assignment(z @ c.T, 0.05, 3) for z in (y, x)]
    wanted = sum(dense_entropy(t, z @ c.T / 0.1) for t, z in zip(sought, (x, y), strict=True)) / 2
    same(swalip_prototypes(*leaves), wanted, leaves)
    torch.testing.assert_close(SwALIPPrototypes()(*leaves), swalip_prototypes(*leaves))


def test_gradients_numerically():
    scales = [torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (0.3, 0.4)]
    views = draw((4, 3), (4, 3), (4, 2, 3), (4, 2, 3))
    assert torch.autograd.gradcheck(cl2l, [*views, *scales])
    assert torch.autograd.gradcheck(barlip, draw((4, 3, 3), (4, 3, 3)))
    p, q, v, w = draw(*[(4, 3, 3)] * 4)
    assert torch.autograd.gradcheck(lambda p, q: siamlip(p, q, v, w), [p, q])
    assert torch.autograd.gradcheck(lambda t: swalip(*views[2:], t), scales[:1])


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (3, 8)])
def test_offsets_give_the_balanced_assignment(shape):
    a, c = draw((shape[0], 5), (shape[1], 5))
    for epsilon, iterations in ((0.05, 3), (0.5, 1)):
        offsets = balancing_offsets(a, c, epsilon, iterations)
        plan = (a @ c.T / epsilon + offsets).softmax(1)
        torch.testing.assert_close(plan, balanced_assignment(a @ c.T, epsilon, iterations))
        torch.testing.assert_close(plan, assignment(a @ c.T, epsilon, iterations))
    with pytest.raises(SettingError, match="iterations"):
        balancing_offsets(a, c, iterations=0)
    with pytest.raises(DataError, match="finite"):
        balancing_offsets(a, c * math.inf)


def test_columns_come_nearer_to_balance():
    for seed in range(20):
        a, c = (normalize(z.detach(), dim=1) for z in draw((8, 4), (8, 4), seed=seed))
        off = [(balanced_assignment(a @ c.T, 0.05, n).sum(0) - 1).abs().max() for n in range(1, 6)]
        assert all(later <= before + 1e-12 for before, later in itertools.pairwise(off))


def test_single_precision_is_safe_at_the_assignments_temperature():
    leaves = draw((64, 2, 8), (64, 2, 8))
    single = [z.detach().float().requires_grad_() for z in leaves]
    found, wanted = swalip(*single, 0.05), swalip(*leaves, 0.05)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    grads = [torch.autograd.grad(value, z) for value, z in ((found, single), (wanted, leaves))]
    for grad, want in zip(*grads, strict=True):
        torch.testing.assert_close(grad.double(), want, rtol=1e-3, atol=1e-5)


def test_one_sample():
    x, y = draw((1, 2, 4), (1, 2, 4))
    for loss in (swalip(x, y), cl2l(x[:, 0], y[:, 0], x, y)):
        assert loss.abs() < 1e-9
    assert torch.isfinite(barlip(x, y))


def test_bad_inputs_are_refused():
    x, y = draw((5, 2, 4), (5, 2, 4))
    with pytest.raises(DataError, match="views"):
        siamlip(x, y, x, y[:, :1])
    with pytest.raises(DataError, match="Two views"):
        swalip(x[:, 0], y[:, 0])
    with pytest.raises(DataError, match="rows"):
        barlip(x, y[:3])
    with pytest.raises(DataError, match="both modalities"):
        cl2l(x[:, 0], y[:, 0], image_views=x)
    spoilt = x.detach().clone()
    spoilt[3, 0, 1] = torch.nan
    for call in (lambda: barlip(spoilt, y), lambda: swalip(spoilt, y)):
        with pytest.raises(DataError, match="row 3"):
            call()
    for wrong in ({"label_smoothing": 1.2}, {"total": "max"}, {"local_temperature": 0.0}):
        with pytest.raises(SettingError):
            cl2l(x[:, 0], y[:, 0], x, y, **wrong)
    with pytest.raises(SettingError, match="off_diagonal"):
        barlip(x, y, off_diagonal=-1.0)
    with pytest.raises(SettingError, match="epsilon"):
        swalip(x, y, epsilon=0.0)
