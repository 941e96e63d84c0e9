import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.sepclr import (
    SepCLR,
    kernel_alignment,
    negative_joint_entropy,
    sepclr,
    sepclr_parts,
)


def draw(n=7, seed=0):
    torch.manual_seed(seed)
    codes = [torch.randn(n, d, dtype=torch.float64, requires_grad=True) for d in (4, 4, 3, 3)]
    return codes, torch.arange(n) % 2


def loop(c1, c2, s1, s2, labels, tau):
    n, w = len(c1), 1 / (2 * tau)
    c1, c2 = normalize(c1, dim=1), normalize(c2, dim=1)

    def gap(x, i, j):
        return (x[i] - x[j]).square().sum() * w

    def unif(x):
        pairs = [(-gap(x, i, j)).exp() for i in range(n) for j in range(i)]
        return torch.stack(pairs).mean().log()

    def jem(c, s):
        rows = [
            torch.stack([(-gap(c, i, j) - gap(s, i, j)).exp() for j in range(n)]).mean().log()
            for i in range(n)
        ]
        return torch.stack(rows).mean()

    def mean(values):
        return torch.stack(values).mean() if values else torch.zeros(())

    t1, t2 = s1 * labels[:, None], s2 * labels[:, None]
    on, off = [i for i in range(n) if labels[i]], [i for i in range(n) if not labels[i]]
    return (
        mean([w * (c1[i] - c2[i]).square().sum() for i in range(n)]),
        (unif(c1) + unif(c2)) / 2,
        mean([w * (s1[i] - s2[i]).square().sum() for i in on]),
        (unif(t1) + unif(t2)) / 2,
        mean([w * (s1[i].square() + s2[i].square()).sum() / 2 for i in off]),
        (jem(c1, t1) + jem(c2, t2)) / 2,
    )


@pytest.mark.parametrize("tau", [0.5, 0.2, 2.0])
@pytest.mark.parametrize("n", [2, 7])
def test_terms_are_loops(tau, n):
    codes, labels = draw(n)
    wanted = loop(*codes, labels, tau)
    for a, b in zip(sepclr_parts(*codes, labels, tau=tau), wanted, strict=True):
        torch.testing.assert_close(a, b, check_dtype=False)
    total = wanted[0] + 2 * wanted[1] + 3 * (wanted[2] + 2 * wanted[3]) + 5 * wanted[4]
    total = total + 7 * wanted[5]
    weights = {"salient_weight": 3.0, "information_weight": 5.0, "independence_weight": 7.0}
    found = sepclr(*codes, labels, tau=tau, **weights)
    torch.testing.assert_close(found, total)
    torch.testing.assert_close(SepCLR(tau=tau, **weights)(*codes, labels), found)
    for a, b in zip(*(torch.autograd.grad(x, codes) for x in (found, total)), strict=True):
        torch.testing.assert_close(a, b)


def test_gradient_numerically():
    codes, labels = draw(5)
    assert torch.autograd.gradcheck(lambda *x: sepclr(*x, labels, salient_weight=1.0), codes)
    u, a = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    u = u.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kernel_alignment(x, a, 0.3), [u])


def test_joint_entropy_identities():
    codes, _ = draw()
    c, s = codes[0], codes[2]
    constant = torch.full((7, 2), 3.0, dtype=torch.float64)
    only = -((c[:, None] - c).square().sum(2))
    torch.testing.assert_close(
        negative_joint_entropy(c, constant), (only.logsumexp(1) - math.log(7)).mean()
    )
    assert negative_joint_entropy(c, s) < 0
    assert negative_joint_entropy(constant, constant).abs() < 1e-12
    far = negative_joint_entropy(1e3 * c, 1e3 * s)
    assert far.item() == pytest.approx(-math.log(7))


def test_rotations_change_nothing():
    codes, labels = draw()
    turns = [torch.linalg.qr(torch.randn(d, d, dtype=torch.float64)).Q for d in (4, 3)]
    turned = [code @ turns[place // 2] for place, code in enumerate(codes)]
    torch.testing.assert_close(sepclr(*turned, labels), sepclr(*codes, labels))


def test_one_kind_of_samples_only():
    codes, _ = draw()
    background = sepclr_parts(*codes, torch.zeros(7, dtype=torch.long))
    assert background.salient_alignment == 0
    assert background.salient_uniformity.abs() < 1e-12
    assert torch.autograd.grad(background.salient_uniformity, codes[2])[0].abs().max() == 0
    targets = sepclr_parts(*codes, torch.ones(7, dtype=torch.long))
    assert targets.information_less == 0
    one = torch.tensor([1] + [0] * 6)
    assert torch.isfinite(sepclr(*codes, one))
    before = codes[2].detach().clone()
    sepclr(*codes, one)
    assert torch.equal(codes[2], before)


def test_kernel_alignment_is_a_loop():
    torch.manual_seed(0)
    u, a = torch.randn(2, 6, dtype=torch.float64)
    pairs = [
        torch.exp(-((a[i] - a[j]) ** 2) / 0.6) * (u[i] - u[j]) ** 2
        for i in range(6)
        for j in range(i)
    ]
    torch.testing.assert_close(kernel_alignment(u, a, 0.3), torch.stack(pairs).mean())
    classes = torch.tensor([0.0, 0.0, 1.0])
    codes = torch.tensor([1.0, 3.0, 9.0])
    assert kernel_alignment(codes, classes, 5e-6).item() == pytest.approx(4 / 3, rel=1e-4)


def test_bad_inputs_are_refused():
    codes, labels = draw()
    with pytest.raises(DataError, match="at least 2"):
        sepclr(*(x[:1] for x in codes), labels[:1])
    with pytest.raises(DataError, match="background"):
        sepclr(*codes, labels + 1)
    with pytest.raises(DataError, match="one row"):
        sepclr(*codes[:3], codes[3][:4], labels)
    with pytest.raises(SettingError, match="tau"):
        sepclr(*codes, labels, tau=0)
    with pytest.raises(DataError, match="rows"):
        negative_joint_entropy(codes[0], codes[2][:3])
    with pytest.raises(DataError, match="length"):
        kernel_alignment(codes[0], codes[0])
