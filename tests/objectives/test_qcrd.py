import math

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.qcrd import QCRD, discriminator_loss, qcrd

REDUCE = {"min": min, "max": max, "mean": lambda x: sum(x) / len(x)}


def draw(b=7, p=3, q=4, seed=0):
    torch.manual_seed(seed)
    losses = [(6 * torch.rand(b, k, dtype=torch.float64)).requires_grad_() for k in (p, q)]
    return losses, [torch.rand(b, k, dtype=torch.float64) for k in (p, q)]


def by_hand(good, bad, s_good, s_bad, has_good, has_bad, how_good, how_bad, beta=0.2, margin=3.0):
    out = []
    for i in range(len(good)):
        pos = [(good[i, k], s_good[i, k]) for k in range(good.shape[1]) if has_good[i, k]]
        neg = [
            (min(bad[i, k] - margin, 0 * bad[i, k]), s_bad[i, k])
            for k in range(bad.shape[1])
            if has_bad[i, k]
        ]
        if not pos:
            out.append(None)
            continue
        if how_good == "mean":
            total = sum(s * v for v, s in pos) / len(pos)
        else:
            value, s = min(pos)
            total = s * value
        if neg and how_bad == "mean":
            total = total - beta * sum((1 - s) * v for v, s in neg) / len(neg)
        elif neg:
            value, s = REDUCE[how_bad](neg)
            total = total - beta * (1 - s) * value
        out.append(total)
    return out


@pytest.mark.parametrize("how_good", ["min", "mean"])
@pytest.mark.parametrize("how_bad", ["max", "min", "mean"])
def test_equals_a_loop(how_good, how_bad):
    (good, bad), (s_good, s_bad) = draw()
    if how_bad == "max":
        bad = (bad / 2.5).detach().requires_grad_()
    has_good, has_bad = torch.rand(7, 3) > 0.4, torch.rand(7, 4) > 0.4
    has_good[2] = False
    has_bad[3] = False
    wanted = by_hand(good, bad, s_good, s_bad, has_good, has_bad, how_good, how_bad)
    found = qcrd(
        good,
        bad,
        positive_quality=s_good,
        negative_quality=s_bad,
        has_positive=has_good,
        has_negative=has_bad,
        over_positives=how_good,
        over_negatives=how_bad,
    )
    total = sum(x for x in wanted if x is not None) / sum(x is not None for x in wanted)
    torch.testing.assert_close(found, total, rtol=1e-12, atol=1e-12)
    for x in (good, bad):
        a, b = (torch.autograd.grad(v, x, retain_graph=True)[0] for v in (found, total))
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_without_negatives_it_is_the_plain_rationale_loss():
    (good, bad), _ = draw(p=1)
    torch.testing.assert_close(qcrd(good, bad, beta=0.0), good.mean())
    torch.testing.assert_close(qcrd(good, bad[:, :0]), good.mean())


def test_negatives_beyond_the_margin_have_no_gradient():
    good, bad = torch.ones(2, 1), torch.tensor([[3.0], [2.0]], requires_grad=True)
    loss = qcrd(good, bad, reduction="none")
    assert loss.tolist() == pytest.approx([1.0, 1.2])
    assert torch.autograd.grad(loss.sum(), bad)[0].flatten().tolist() == pytest.approx([0, -0.2])


def test_one_far_negative_switches_the_others_off_under_max():
    good, bad = torch.ones(1, 1), torch.tensor([[1.0, 9.0]])
    assert qcrd(good, bad).item() == 1
    assert qcrd(good, bad, over_negatives="min").item() == pytest.approx(1 + 0.2 * 2)
    assert qcrd(good, bad, over_negatives="mean").item() == pytest.approx(1 + 0.2 * 1)


def test_never_below_zero():
    (good, bad), (s_good, s_bad) = draw(b=300)
    each = qcrd(good, bad, positive_quality=s_good, negative_quality=s_bad, reduction="none")
    assert (each >= 0).all()


def test_quality_of_a_negative_switches_it_from_off_to_full():
    good, bad = torch.ones(1, 1), torch.ones(1, 1)
    sure = [qcrd(good, bad, negative_quality=torch.full((1, 1), s)).item() for s in (1.0, 0.5, 0.0)]
    assert sure == pytest.approx([1.0, 1.2, 1.4])
    assert qcrd(good, bad).item() == pytest.approx(1.4)


def test_the_judge_gets_no_gradient():
    (good, bad), (s_good, s_bad) = draw()
    s_good.requires_grad_()
    loss = qcrd(good, bad, positive_quality=s_good, negative_quality=s_bad)
    assert torch.autograd.grad(loss, s_good, allow_unused=True) == (None,)


def test_nothing_that_counts_is_zero():
    (good, bad), _ = draw(b=2)
    none = torch.zeros(2, 3, dtype=torch.bool)
    loss = qcrd(good, bad, has_positive=none)
    assert loss == 0
    assert torch.autograd.grad(loss, good)[0].abs().sum() == 0


def test_gradcheck_and_module():
    (good, bad), (s_good, s_bad) = draw(b=3)
    bad = (bad / 2.1).detach().requires_grad_()
    quality = {"positive_quality": s_good, "negative_quality": s_bad}
    assert torch.autograd.gradcheck(lambda a, b: qcrd(a, b, **quality), [good, bad])
    module = QCRD(beta=0.5, over_negatives="mean", reduction="sum")
    wanted = qcrd(good, bad, beta=0.5, over_negatives="mean", reduction="sum", **quality)
    assert torch.equal(module(good, bad, **quality), wanted)


def test_half_precision_agrees():
    (good, bad), _ = draw()
    for dtype in (torch.float16, torch.bfloat16):
        a, b = good.detach().to(dtype), bad.detach().to(dtype)
        torch.testing.assert_close(
            qcrd(a, b).double(), qcrd(a.double(), b.double()), rtol=2e-2, atol=2e-2
        )


def test_the_judge_is_trained_with_both_classes_apart():
    assert discriminator_loss(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(
        2 * math.log(2)
    )
    good, bad = torch.tensor([2.0, -1.0]), torch.tensor([0.5])
    wanted = sum(math.log1p(math.exp(-x)) for x in (2.0, -1.0)) / 2 + math.log1p(math.exp(0.5))
    assert discriminator_loss(good, bad).item() == pytest.approx(wanted)
    assert discriminator_loss(good, bad[:0]) == discriminator_loss(good, torch.tensor([-1e4]))
    far = torch.tensor([-1000.0], requires_grad=True)
    assert discriminator_loss(far, bad[:0]).item() == 1000


def test_bad_input_is_refused():
    (good, bad), (s_good, _) = draw()
    with pytest.raises(DataError, match="negative_losses must be"):
        qcrd(good, bad[:3])
    with pytest.raises(DataError, match="at least 0"):
        qcrd(-good, bad)
    with pytest.raises(DataError, match="positive_quality must be in"):
        qcrd(good, bad, positive_quality=s_good + 1)
    with pytest.raises(DataError, match="has_positive"):
        qcrd(good, bad, has_positive=torch.ones(7, 1, dtype=torch.bool))
    with pytest.raises(SettingError, match="over_positives"):
        qcrd(good, bad, over_positives="max")
    with pytest.raises(SettingError, match="over_negatives"):
        qcrd(good, bad, over_negatives="median")
    with pytest.raises(SettingError, match="beta"):
        qcrd(good, bad, beta=-1.0)
