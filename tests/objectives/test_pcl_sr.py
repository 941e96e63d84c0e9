import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.pcl_sr import PCLSR, dual_contrastive, pcl_sr, ratio_loss


def draw(positives=2, negatives=3, seed=0):
    torch.manual_seed(seed)
    maps = torch.randn(1 + positives + negatives, 2, 3, 4, 3, dtype=torch.float64)
    return maps[0].requires_grad_(), list(maps[1 : 1 + positives]), list(maps[1 + positives :])


@pytest.mark.parametrize("t", [1.0, 0.2])
@pytest.mark.parametrize("counts", [(1, 1), (2, 3), (4, 1)])
def test_contrast_is_a_loop(t, counts):
    anchor, positives, negatives = draw(*counts)

    def sim(other, b):
        return cosine_similarity(anchor[b], other[b], dim=0).mean() / t

    losses = [
        -torch.log(sim(p, b).exp() / (sim(p, b).exp() + sum(sim(q, b).exp() for q in negatives)))
        for p in positives
        for b in range(2)
    ]
    wanted = torch.stack(losses).mean()
    found = pcl_sr(anchor, positives, negatives, t)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(PCLSR(t)(anchor, positives, negatives), found)
    (a,), (b,) = (torch.autograd.grad(x, anchor) for x in (found, wanted))
    torch.testing.assert_close(a, b)
    assert a.abs().max() > 0
    assert torch.autograd.gradcheck(lambda x: pcl_sr(x, positives, negatives, t), [anchor])


def test_limits():
    anchor, positives, negatives = draw()
    nothing = pcl_sr(anchor, positives, [])
    assert nothing == 0
    assert torch.autograd.grad(nothing, anchor)[0].abs().max() == 0
    same = pcl_sr(anchor, [anchor], [anchor])
    assert same.item() == pytest.approx(math.log(2))
    zero = torch.zeros(2, 3, 4, 3, requires_grad=True)
    loss = pcl_sr(zero, positives, negatives)
    assert loss.item() == pytest.approx(math.log(4))
    assert torch.isfinite(torch.autograd.grad(loss, zero)[0]).all()


def test_others_are_constants():
    anchor, positives, negatives = draw()
    positives[0].requires_grad_()
    grad = torch.autograd.grad(
        pcl_sr(anchor, positives, negatives), positives[0], allow_unused=True
    )
    assert grad == (None,)


def test_descent_moves_towards_the_positive():
    anchor, positives, negatives = draw(1, 2)
    loss = pcl_sr(anchor, positives, negatives)
    (grad,) = torch.autograd.grad(loss, anchor)
    moved = anchor - 0.01 * grad

    def margin(x):
        near = cosine_similarity(x, positives[0], dim=1).mean()
        return near - torch.stack([cosine_similarity(x, q, dim=1).mean() for q in negatives]).mean()

    assert margin(moved) > margin(anchor)


def test_dual_contrast_is_a_loop_and_is_stable():
    r, f = (torch.randn(n, dtype=torch.float64, requires_grad=True) for n in (5, 4))
    total = sum(-(x.exp() / (x.exp() + f.exp().sum())).log() for x in r) / 5
    total = total + sum(-((-x).exp() / ((-x).exp() + (-r).exp().sum())).log() for x in f) / 4
    torch.testing.assert_close(dual_contrastive(r, f), total)
    assert torch.autograd.gradcheck(dual_contrastive, [r, f])
    far = dual_contrastive(torch.full((3,), -500.0), torch.full((2,), 500.0))
    assert far.item() == pytest.approx(2000 + math.log(6), rel=1e-5)


def test_ratio_uses_the_meant_stabiliser():
    assert ratio_loss(torch.tensor(0.0), torch.tensor(0.0)) == 0
    assert ratio_loss(torch.tensor(3e-7), torch.tensor(0.0)).item() == pytest.approx(1)


def test_bad_inputs_are_refused():
    anchor, positives, negatives = draw()
    with pytest.raises(SettingError, match="positive"):
        pcl_sr(anchor, [], negatives)
    with pytest.raises(DataError, match="negatives"):
        pcl_sr(anchor, positives, [negatives[0][:, :2]])
    with pytest.raises(DataError, match="row 0"):
        pcl_sr(anchor / 0, positives, negatives)
    with pytest.raises(SettingError, match="temperature"):
        pcl_sr(anchor, positives, negatives, 0)
    with pytest.raises(DataError, match="fake"):
        dual_contrastive(torch.zeros(2), torch.zeros(0))
