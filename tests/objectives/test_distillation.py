import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.distillation import DKD, KD, dkd, kd


def draw(n=5, c=4, seed=0):
    torch.manual_seed(seed)
    s, t = (torch.randn(n, c, dtype=torch.float64, requires_grad=True) for _ in range(2))
    return s, t, torch.randint(c, (n,))


def kl(p, q):
    return sum(a * (a / b).log() for a, b in zip(p, q, strict=True))


def test_kd_is_its_formula():
    s, t, _ = draw()
    wanted = (
        sum(9 * kl((b / 3).softmax(0), (a / 3).softmax(0)) for a, b in zip(s, t, strict=True)) / 5
    )
    torch.testing.assert_close(kd(s, t, temperature=3.0), wanted)
    assert torch.autograd.grad(kd(s, t), t, allow_unused=True) == (None,)


def test_dkd_is_its_formula():
    s, t, labels = draw()
    total = 0.0
    for a, b, y in zip(s, t, labels.tolist(), strict=True):
        p, q = (b / 3).softmax(0), (a / 3).softmax(0)
        rest = [k for k in range(4) if k != y]
        tckd = kl([p[y], 1 - p[y]], [q[y], 1 - q[y]])
        nckd = kl(p[rest] / p[rest].sum(), q[rest] / q[rest].sum())
        total = total + 9 * (0.5 * tckd + 2 * nckd) / 5
    torch.testing.assert_close(dkd(s, t, labels, alpha=0.5, beta=2.0, temperature=3.0), total)


def test_dkd_weighted_by_the_teacher_is_kd():
    s, t, labels = draw()
    rest = 1 - t.softmax(1).gather(1, labels[:, None])[:, 0]
    target, others = (
        dkd(s, t, labels, alpha=a, beta=b, temperature=1.0, reduction="none")
        for a, b in ((1.0, 0.0), (0.0, 1.0))
    )
    torch.testing.assert_close(target + rest * others, kd(s, t, temperature=1.0, reduction="none"))


def test_equal_students_have_no_loss_and_no_gradient():
    _, t, labels = draw()
    s = t.detach().clone().requires_grad_()
    for loss in (kd(s, t), dkd(s, t, labels)):
        assert loss.abs() < 1e-14
        assert torch.autograd.grad(loss, s)[0].abs().max() < 1e-14


def test_large_logits_stay_finite():
    s = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    t = torch.tensor([[-1e4, 1e4, 0.0]])
    for loss in (kd(s, t), dkd(s, t, torch.tensor([1]))):
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, s)[0]).all()


def test_gradcheck_modules_and_empty_batch():
    s, t, labels = draw()
    assert torch.autograd.gradcheck(lambda x: kd(x, t), s)
    assert torch.autograd.gradcheck(lambda x: dkd(x, t, labels), s)
    assert torch.equal(KD(temperature=2.0)(s, t), kd(s, t, temperature=2.0))
    assert torch.equal(DKD(beta=2.0)(s, t, labels), dkd(s, t, labels, beta=2.0))
    assert kd(s[:0], t[:0]) == 0


def test_half_precision_is_summed_in_float32():
    s, t, labels = (x.bfloat16() if x.is_floating_point() else x for x in draw())
    torch.testing.assert_close(dkd(s, t, labels), dkd(s.float(), t.float(), labels))


def test_bad_input_is_refused():
    s, t, labels = draw()
    with pytest.raises(DataError, match="one shape"):
        kd(s, t[:2])
    with pytest.raises(DataError, match=r"teacher holds NaN or infinity.*first: row 0"):
        kd(s, t * float("nan"))
    with pytest.raises(DataError, match="labels"):
        dkd(s, t, labels + 4)
    with pytest.raises(DataError, match="two classes"):
        dkd(s[:, :1], t[:, :1], labels * 0)
    with pytest.raises(SettingError, match="temperature"):
        kd(s, t, temperature=0.0)
