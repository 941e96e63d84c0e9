import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.objectives.nd import ND, nd


def draw(n=6, d=5, c=4, seed=0):
    torch.manual_seed(seed)
    s, t, means = (torch.randn(k, d, dtype=torch.float64) for k in (n, n, c))
    s[: n // 2] *= 4
    s[n // 2 :] /= 4
    return s.requires_grad_(), t, means, torch.randint(c, (n,))


def test_equals_a_loop_and_both_gradients_are_the_closed_form():
    s, t, means, labels = draw()
    each = nd(s, t, means, labels, reduction="none")
    (grad,) = torch.autograd.grad(each.sum(), s)
    regimes = set()
    for i in range(6):
        e = means[labels[i]] / means[labels[i]].norm()
        length, reach = s[i].norm().item(), t[i].norm().item()
        value = 1 - (s[i] @ e).item() / max(length, reach)
        assert each[i].item() == pytest.approx(value, rel=1e-12)
        if length < reach:
            wanted = -e / reach
        else:
            wanted = -(e - (1 - value) * s[i] / length) / length
            assert abs((grad[i] @ s[i]).item()) < 1e-12
        torch.testing.assert_close(grad[i], wanted.detach())
        regimes.add(length < reach)
    assert regimes == {True, False}
    torch.testing.assert_close(nd(s, t, means, labels), each.mean())


def test_growing_a_long_student_changes_nothing_a_short_one_linearly():
    s, t, means, labels = draw()
    long = 100 * s
    torch.testing.assert_close(nd(long, t, means, labels), nd(3 * long, t, means, labels))
    short = s / 100
    one, two = (1 - nd(k * short, t, means, labels, reduction="none") for k in (1, 2))
    torch.testing.assert_close(two, 2 * one)


def test_stays_between_zero_and_two():
    s, t, means, labels = draw(n=200)
    each = nd(s, t, means, labels, reduction="none")
    assert each.min() >= 0
    assert each.max() <= 2
    e = means[labels]
    assert nd(e, t * 0, means, labels).abs() < 1e-14
    assert nd(-e, t * 0, means, labels).item() == pytest.approx(2)


def test_zero_features():
    means, labels = torch.tensor([[3.0, 4.0]]), torch.tensor([0])
    s = torch.zeros(1, 2, requires_grad=True)
    loss = nd(s, torch.tensor([[0.0, 2.0]]), means, labels)
    assert loss == 1
    assert torch.autograd.grad(loss, s)[0].tolist() == [[pytest.approx(-0.3), pytest.approx(-0.4)]]
    loss = nd(s, torch.zeros(1, 2), means, labels)
    assert loss == 1
    assert torch.autograd.grad(loss, s)[0].tolist() == [[0, 0]]


def test_a_tie_keeps_the_students_length():
    means, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    s = torch.tensor([[0.6, 0.8]], requires_grad=True)
    (grad,) = torch.autograd.grad(nd(s, s.detach().flip(1), means, labels), s)
    assert abs((grad @ s.T).item()) < 1e-6


def test_one_centre_a_sample():
    s, t, means, labels = draw()
    torch.testing.assert_close(nd(s, t, means[labels]), nd(s, t, means, labels))


def test_empty_batch_gradcheck_and_module():
    s, t, means, labels = draw()
    assert nd(s[:0], t[:0], means, labels[:0]) == 0
    assert torch.autograd.gradcheck(lambda x: nd(x, t, means, labels), s)
    assert torch.equal(ND()(s, t, means, labels), nd(s, t, means, labels))


def test_half_precision_is_summed_in_float32():
    s, t, means, labels = draw()
    half = [x.detach().bfloat16() for x in (s, t, means)]
    torch.testing.assert_close(nd(*half, labels), nd(*[x.float() for x in half], labels))


def test_bad_input_is_refused():
    s, t, means, labels = draw()
    with pytest.raises(DataError, match="one shape"):
        nd(s, t[:, :2], means, labels)
    with pytest.raises(DataError, match="no mean for label 4 of row 0"):
        nd(s, t, means, torch.full((6,), 4))
    with pytest.raises(DataError, match="is zero"):
        nd(s, t, means * 0, labels)
    with pytest.raises(DataError, match="student holds NaN"):
        nd(s * float("nan"), t, means, labels)
    with pytest.raises(DataError, match="one row a sample"):
        nd(s, t, means)
