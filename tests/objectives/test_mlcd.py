import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.mlcd import MLCD, MultiLabel, mlcd, multi_label
from counterpoint.pairs.classes import nearest_classes, sample_classes


def draw(n=5, c=11, d=4):
    torch.manual_seed(0)
    z = torch.randn(n, d, dtype=torch.float64, requires_grad=True)
    w = torch.randn(c, d, dtype=torch.float64, requires_grad=True)
    labels = torch.stack([torch.randperm(c)[:3] for _ in range(n)])
    labels[1, 2] = -1
    return z, w, labels


def loop(z, w, labels, t, kept):
    both, product = [], []
    for i in range(len(z)):
        s = normalize(z[i], dim=0) @ normalize(w, dim=1).T / t
        own = [p for p in labels[i].tolist() if p >= 0]
        a = sum((-s[p]).exp() for p in own)
        b = sum(s[j].exp() for j in kept if j not in own)
        both.append((1 + a).log() + (1 + b).log())
        product.append((1 + a * b).log())
    return torch.stack(both), torch.stack(product)


@pytest.mark.parametrize("classes", [None, [0, 2, 3, 9]])
def test_equals_a_loop(classes):
    z, w, labels = draw()
    kept = range(11) if classes is None else classes
    given = None if classes is None else torch.tensor(classes)
    for function, wanted in zip((mlcd, multi_label), loop(z, w, labels, 0.3, kept), strict=True):
        found = function(z, w, labels, 0.3, classes=given, reduction="none")
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(
            torch.autograd.grad(found.mean(), (z, w)),
            torch.autograd.grad(wanted.mean(), (z, w), retain_graph=True),
        )
        t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        call = lambda *x, f=function: f(x[0], x[1], labels, x[2], classes=given)  # noqa: E731
        assert torch.autograd.gradcheck(call, (z, w, t))


def test_only_the_base_loss_ignores_a_constant():
    z = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([[0, 1]])

    def scores(shift):
        values = torch.tensor([0.1, 0.2, -0.3, 0.0], dtype=torch.float64) + shift
        w = torch.zeros(4, 3, dtype=torch.float64)
        w[:, 0] = values
        return w

    base = [multi_label(z, scores(c), labels, normalize=False) for c in (0.0, 0.5)]
    own = [mlcd(z, scores(c), labels, normalize=False) for c in (0.0, 0.5)]
    assert base[0].item() == pytest.approx(base[1].item(), rel=1e-12)
    assert abs(own[0] - own[1]) > 0.01


def test_positives_and_negatives_do_not_interact():
    z = torch.eye(4, dtype=torch.float64)[:1]
    w = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[0, 1]])
    moved = torch.cat([w[:2], 2 * w[2:]]).detach().requires_grad_()
    grads = [
        torch.autograd.grad(loss(z, x, labels, normalize=False), x)[0]
        for loss in (mlcd, multi_label)
        for x in (w, moved)
    ]
    torch.testing.assert_close(grads[0][:2], grads[1][:2])
    assert not torch.allclose(grads[0][2:], grads[1][2:])
    assert not torch.allclose(grads[2][:2], grads[3][:2])
    assert grads[0][:2].abs().sum() < 1
    assert grads[0][2:].abs().sum() < 1


def test_empty_sides_give_nothing():
    z, w, labels = draw()
    nobody = torch.full_like(labels, -1)
    none = torch.tensor([], dtype=torch.long)
    assert mlcd(z, w, nobody, classes=none) == 0
    assert multi_label(z, w, nobody) == 0
    loss = multi_label(z, w, labels, negative=lambda i, j: j < 0)
    assert loss == 0
    assert all((g == 0).all() for g in torch.autograd.grad(loss, (z, w)))
    assert mlcd(z * 0, w, nobody).item() == pytest.approx(math.log(12))


def test_lists_of_no_class_are_empty_sides():
    z, w, labels = draw()
    none, unknown = labels[:, :0], torch.full_like(labels, -1)
    for objective in (mlcd, multi_label):
        found = objective(z, w, none, reduction="none")
        torch.testing.assert_close(found, objective(z, w, unknown, reduction="none"))
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(found.sum(), (z, w)))


def test_sampled_classes_keep_all_positives():
    labels = torch.tensor([[3, 7], [7, -1]])
    kept = sample_classes(labels, 20, 0.25)
    assert len(kept) == 5
    assert {3, 7} <= set(kept.tolist())
    assert sample_classes(labels, 20, 0.05).tolist() == [3, 7]
    order = torch.arange(20).flip(0)
    assert sample_classes(labels, 20, 0.2, order=order).tolist() == [3, 7, 18, 19]
    with pytest.raises(SettingError, match="rate"):
        sample_classes(labels, 20, 0)


def test_nearest_classes_break_ties_by_index():
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    centres = torch.tensor([[0.0, 1.0], [3.0, 0.0], [1.0, 0.0]])
    assert nearest_classes(features, centres, 2).tolist() == [[1, 2], [0, 1]]
    with pytest.raises(SettingError, match="count"):
        nearest_classes(features, centres, 4)


def test_modules_and_bad_input():
    z, w, labels = draw()
    assert torch.equal(MLCD(0.1)(z, w, labels), mlcd(z, w, labels, 0.1))
    assert torch.equal(MultiLabel(0.1)(z, w, labels), multi_label(z, w, labels, 0.1))
    with pytest.raises(DataError, match="outside"):
        mlcd(z, w, labels + 9)
    with pytest.raises(DataError, match="twice"):
        mlcd(z, w, torch.zeros(5, 2).long())
    with pytest.raises(DataError, match="shape"):
        mlcd(z, w, labels[:, 0])
