import pytest
import torch
from torch.nn.functional import cross_entropy, normalize, one_hot

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.bacon import (
    CrossViewDistillation,
    DistributionRegulariser,
    MaskedSupCon,
    SoftSupCon,
    cross_view_distillation,
    distribution_regulariser,
    masked_supcon,
    soft_supcon,
    teacher_temperature,
)
from counterpoint.objectives.supcon import supcon


def draw(s=5, v=2, seed=0):
    torch.manual_seed(seed)
    f = torch.randn(s, v, 4, dtype=torch.float64, requires_grad=True)
    return f, torch.randn(s, 3, dtype=torch.float64).softmax(1)


@pytest.mark.parametrize("shape", [(5, 2), (4, 3), (6, 1)])
def test_soft_contrast_is_a_loop(shape):
    f, soft = draw(*shape)
    samples, views = shape
    z = normalize(torch.cat([f[:, v] for v in range(views)]), dim=1)
    w = soft @ soft.T
    w.fill_diagonal_(1)
    losses = []
    for i in range(len(z)):
        s = z @ z[i] / 0.2
        others = [j for j in range(len(z)) if j != i]
        own = torch.stack([w[i % samples, j % samples] for j in others])
        losses.append(s[others].logsumexp(0) - (own * s[others]).sum() / own.sum())
    wanted = torch.stack(losses).mean()
    found = soft_supcon(f, soft, 0.2)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(masked_supcon(f, w, 0.2), found)
    torch.testing.assert_close(SoftSupCon(0.2)(f, soft), found)
    torch.testing.assert_close(MaskedSupCon(0.2, base_temperature=0.1)(f, w), 2 * found)
    for a, b in zip(*(torch.autograd.grad(x, f) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(lambda x: soft_supcon(x, soft, 0.5), [f])


def test_one_hot_soft_labels_are_supcon():
    f, _ = draw()
    labels = torch.tensor([0, 1, 0, 2, 1])
    rows = f.transpose(0, 1).reshape(10, 4)
    torch.testing.assert_close(
        soft_supcon(f, one_hot(labels).double()), supcon(rows, labels.repeat(2), 0.07)
    )


def test_weights_are_constant():
    f, soft = draw()
    soft.requires_grad_()
    assert torch.autograd.grad(soft_supcon(f, soft), soft, allow_unused=True) == (None,)


def test_regulariser_is_a_divergence_and_zero_at_the_estimate():
    torch.manual_seed(0)
    o = torch.randn(8, 4, dtype=torch.float64, requires_grad=True)
    counts = torch.tensor([5.0, 1.0, 3.0, 9.0], dtype=torch.float64)
    a = (o / 0.1).softmax(1).mean(0) * counts**-1.1
    a = a / a.sum()
    wanted = torch.tensor(4.0).double().log() + (a * a.log()).sum()
    found = distribution_regulariser(o, counts)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(DistributionRegulariser()(o, counts), found)
    assert torch.autograd.gradcheck(
        lambda x: distribution_regulariser(x, counts, temperature=1.0), [o]
    )
    right = 0.1 * (counts**1.1).log().expand(6, -1)
    assert distribution_regulariser(right, counts).abs() < 1e-12
    even = (o / 0.1).softmax(1).mean(0)
    torch.testing.assert_close(
        distribution_regulariser(o, counts, power=0.0),
        torch.tensor(4.0).double().log() + (even * even.log()).sum(),
    )
    sure = torch.zeros(4, 3)
    sure[:, 0] = 1e4
    assert torch.isfinite(distribution_regulariser(sure, torch.ones(3)))


def test_distillation_of_the_other_view():
    torch.manual_seed(0)
    a, b = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ta, tb = (x.detach().div(0.05).softmax(1) for x in (a, b))
    wanted = (cross_entropy(a / 0.1, tb) + cross_entropy(b / 0.1, ta)) / 2
    found = cross_view_distillation(a, b, teacher_temperature=0.05)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(CrossViewDistillation(teacher_temperature=0.05)(a, b), found)
    for x, y in zip(*(torch.autograd.grad(v, [a, b]) for v in (found, wanted)), strict=True):
        torch.testing.assert_close(x, y)


def test_teacher_schedule():
    values = [teacher_temperature(epoch) for epoch in range(40)]
    assert values[0] == 0.07
    assert values[29:] == pytest.approx([0.04] * 11, abs=1e-15)
    assert values[1] == pytest.approx(0.07 - 0.03 / 29)
    assert [teacher_temperature(epoch, warmup=1) for epoch in (0, 1)] == [0.07, 0.04]
    assert teacher_temperature(0, warmup=0) == 0.04


def test_bad_inputs_are_refused():
    f, soft = draw()
    with pytest.raises(DataError, match="soft_labels"):
        soft_supcon(f, soft[:2])
    with pytest.raises(DataError, match="at least 0"):
        soft_supcon(f, -soft)
    with pytest.raises(DataError, match="weights"):
        masked_supcon(f, soft)
    with pytest.raises(SettingError, match="base_temperature"):
        soft_supcon(f, soft, base_temperature=0.0)
    with pytest.raises(DataError, match="one shape"):
        cross_view_distillation(soft, soft[:2])
    with pytest.raises(DataError, match="above 0"):
        distribution_regulariser(soft, torch.tensor([1.0, 0.0, 2.0]))
    with pytest.raises(SettingError, match="temperature"):
        distribution_regulariser(soft, torch.ones(3), temperature=0)
