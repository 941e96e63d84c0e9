import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.encoders.pair_gate import OpenGate, PairGate
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.hydra import Hydra, hydra
from counterpoint.pairs.partner_classes import partner_classes


def draw(n=8, d=4, classes=4):
    torch.manual_seed(0)
    z, k = (torch.randn(n, d, dtype=torch.float64, requires_grad=True) for _ in range(2))
    gate = torch.rand(n, d, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(n) % classes
    return z, k, gate, labels, labels[torch.randperm(n)]


def loop(z, k, gate, y, partner, t, repulsion=0.0, renormalise=False):
    z, k = normalize(z, dim=1), normalize(k, dim=1)
    values = []
    for b in range(len(z)):
        a, keys = gate[b] * z[b], gate[b] * k
        logits = torch.cosine_similarity(a[None], keys) if renormalise else keys @ a
        logits = (logits - repulsion * k @ z[b]) / t
        positive = [n for n in range(len(k)) if y[n] == partner[b]]
        away = sum(logits[n].exp() for n in range(len(k)) if y[n] != partner[b] and y[n] != y[b])
        terms = [(logits[p].exp() + away).log() - logits[p] for p in positive]
        values.append(sum(terms) / (len(terms) + 1e-6))
    return torch.stack(values)


@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("repulsion", [None, 0.4])
def test_equals_a_loop(renormalise, repulsion):
    z, k, gate, y, partner = draw()
    settings = {"renormalise": renormalise, "repulsion": repulsion}
    found = hydra(z, k, gate, y, partner, 0.3, reduction="none", **settings)
    wanted = loop(z, k, gate, y, partner, 0.3, repulsion or 0.0, renormalise)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    leaves = (z, k, gate)
    torch.testing.assert_close(
        torch.autograd.grad(found.mean(), leaves), torch.autograd.grad(wanted.mean(), leaves)
    )
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def call(a, b, g, t, alpha):
        shared = {"renormalise": renormalise, "repulsion": None if repulsion is None else alpha}
        return hydra(a, b, g, y, partner, t, **shared) + 0 * alpha

    assert torch.autograd.gradcheck(call, (z, k, gate, t, alpha))


def test_a_closed_gate_sees_nothing():
    z, k, gate, y, partner = draw()
    for renormalise in (False, True):
        found = hydra(z, k, gate * 0, y, partner, renormalise=renormalise, reduction="none")
        for b in range(8):
            others = sum(int(c) not in (int(y[b]), int(partner[b])) for c in y)
            assert found[b].item() == pytest.approx(math.log1p(others), rel=2e-6)


def test_identical_partners_and_open_gate_are_supervised_contrast():
    z, k, _, y, _ = draw()
    found = hydra(z, k, OpenGate(4)(y, y), y, partner_classes(y, "identical"), 0.2)
    s = normalize(z, dim=1) @ normalize(k, dim=1).T / 0.2
    same = y[:, None] == y
    away = s.exp().masked_fill(same, 0).sum(1, keepdim=True)
    terms = ((s.exp() + away).log() - s).masked_fill(~same, 0)
    torch.testing.assert_close(found, (terms.sum(1) / (same.sum(1) + 1e-6)).mean())


def test_no_positive_or_no_negative_gives_zero():
    z, k, gate, y, _ = draw()
    each = hydra(z, k, gate, y, torch.full((8,), 9), reduction="none")
    assert (each == 0).all()
    two = hydra(z, k, gate, y % 2, 1 - y % 2)
    assert two == 0
    assert all((g == 0).all() for g in torch.autograd.grad(two, (z, k, gate)))
    partner = torch.where(y == 0, 9, (y + 1) % 4)
    values = hydra(z, k, gate, y, partner, reduction="none")
    torch.testing.assert_close(hydra(z, k, gate, y, partner), values.sum() / 8)


def test_partner_classes():
    y = torch.arange(100) % 5
    assert partner_classes(y, "arbitrary").bincount().tolist() == [20] * 5
    assert (partner_classes(y, "distinct", classes=7) != y).all()
    assert partner_classes(y, "distinct", classes=7).max() < 7
    assert partner_classes(y[:3], "arbitrary", draws=torch.tensor([2, 0, 1])).tolist() == [2, 0, 1]
    drawn = partner_classes(y[:3], "distinct", classes=5, draws=torch.tensor([1, 4, 3]))
    assert drawn.tolist() == [1, 0, 0]
    with pytest.raises(SettingError, match="number of classes"):
        partner_classes(y, "distinct")
    with pytest.raises(SettingError, match="pairing"):
        partner_classes(y, "any")


@pytest.mark.parametrize("fuse", [True, False])
def test_the_gate_is_symmetric(fuse):
    gate = PairGate(5, 6, width=4, hidden=8, fuse=fuse).eval()
    one, two = torch.tensor([0, 3]), torch.tensor([4, 1])
    found = gate(one, two)
    torch.testing.assert_close(found, gate(two, one))
    assert found.shape == (2, 6)
    assert ((found > 0) & (found < 1)).all()


def test_module_and_bad_input():
    z, k, gate, y, partner = draw()
    alpha = torch.nn.Parameter(torch.tensor(0.5))
    module = Hydra(0.2, repulsion=alpha)
    expected = hydra(z, k, gate, y, partner, 0.2, repulsion=alpha)
    assert torch.equal(module(z, k, gate, y, partner), expected)
    assert [name for name, _ in module.named_parameters()] == ["repulsion"]
    with pytest.raises(DataError, match="gate must have the shape"):
        hydra(z, k, gate[:, :2], y, partner)
    with pytest.raises(DataError, match="partners"):
        hydra(z, k, gate, y, partner[:3])
    with pytest.raises(DataError, match="gate holds NaN"):
        hydra(z, k, gate * torch.nan, y, partner)
