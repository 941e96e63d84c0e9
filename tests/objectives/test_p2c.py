import math

import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.objectives.p2c import P2C, p2c, p2c_parts, vote_consistency


def draw(b=6, c=3, h=3, seed=0):
    torch.manual_seed(seed)
    logits = [torch.randn(b, c, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    scores = [torch.randn(h, b, dtype=torch.float64).tanh().requires_grad_() for _ in range(2)]
    return (*logits, *scores, torch.randint(c, (b,)), torch.arange(b) % 3)


def by_hand(l1, l2, s1, s2, labels, preference, e=1e-8):
    b, heads = len(labels), len(s1)
    cls = cons = pref = div = 0.0
    for i in range(b):
        y, a = labels[i], preference[i]
        p1, p2 = l1[i].softmax(0)[y], l2[i].softmax(0)[y]
        cls += -0.5 * (p1.log() + p2.log()) / b
        delta = p1 - p2
        cons += (max(0, -delta) if a == 1 else max(0, delta) if a == 0 else abs(delta)) / b
        chance = [1 / (1 + (s2[k, i] - s1[k, i]).exp()) for k in range(heads)]
        t = {1: 1.0, 0: 0.0, 2: 0.5}[int(a)]
        for k in range(heads):
            q = chance[k]
            pref += (-t * (q + e).log() - (1 - t) * (1 - q + e).log()) / (heads * b)
            for m in range(heads):
                if m != k:
                    fixed, other = q.detach(), chance[m]
                    term = -fixed * (other + e).log() - (1 - fixed) * (1 - other + e).log()
                    div += term / (heads * (heads - 1) * b)
    return cls, cons, pref, div


def test_parts_and_gradients_are_those_of_a_loop():
    inputs = draw()
    found = p2c_parts(*inputs)
    wanted = by_hand(*inputs)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        left, right = (
            torch.autograd.grad(x, inputs[:4], retain_graph=True, allow_unused=True) for x in (a, b)
        )
        for x, y in zip(left, right, strict=True):
            if x is not None and y is not None:
                torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)
            else:
                assert x is y
    total = p2c(*inputs, consistency_weight=0.5, preference_weight=2.0, diversity_weight=0.3)
    cls, cons, pref, div = wanted
    torch.testing.assert_close(total, cls + 0.5 * cons + 2 * pref - 0.3 * div)
    lighter = p2c(*inputs, classification_weight=0.25, diversity_weight=0.1)
    torch.testing.assert_close(lighter, 0.25 * cls + cons + pref - 0.1 * div)
    assert torch.equal(P2C(diversity_weight=0.3)(*inputs), p2c(*inputs, diversity_weight=0.3))


def test_gradcheck_without_the_detached_part():
    l1, l2, s1, s2, labels, preference = draw(b=4)
    assert torch.autograd.gradcheck(
        lambda *x: p2c(*x, labels, preference, diversity_weight=0.0), [l1, l2, s1, s2]
    )
    votes = torch.rand(2, 4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: vote_consistency(a, b, *votes), [l1, l2])


def test_consistency_is_zero_exactly_when_the_order_is_right():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    other = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]])
    labels, scores = torch.tensor([0, 1, 0]), torch.zeros(1, 3)
    rightly = torch.tensor([1, 0, 2])
    assert p2c_parts(logits, other, scores, scores, labels, rightly).consistency < 1e-7
    wrongly = torch.tensor([0, 1, 2])
    assert p2c_parts(logits, other, scores, scores, labels, wrongly).consistency > 0.1


def test_consistency_never_reaches_the_preference_heads():
    inputs = draw()
    parts = p2c_parts(*inputs)
    grads = torch.autograd.grad(parts.consistency, inputs[:4], allow_unused=True)
    assert grads[2] is None
    assert grads[3] is None
    assert all(g.abs().sum() > 0 for g in grads[:2])


def test_swapping_the_texts_changes_nothing():
    l1, l2, s1, s2, labels, preference = draw()
    swapped = torch.tensor([1, 0, 2])[preference]
    torch.testing.assert_close(
        p2c(l1, l2, s1, s2, labels, preference), p2c(l2, l1, s2, s1, labels, swapped)
    )


def test_votes_ask_for_a_gap_of_their_size():
    l1, l2, *_ = draw(b=5)
    votes = torch.rand(2, 5, 3, dtype=torch.float64)
    votes[:, 0] = 1 / 3
    found = vote_consistency(l1, l2, *votes, reduction="none")
    for i in range(5):
        total = 0.0
        for c in range(3):
            dv, dp = votes[0, i, c] - votes[1, i, c], l1[i].softmax(0)[c] - l2[i].softmax(0)[c]
            total += max(0, dv - dp) if dv >= 0 else max(0, dp - dv)
        torch.testing.assert_close(found[i], total)
    back = vote_consistency(l2, l1, votes[1], votes[0], reduction="none")
    torch.testing.assert_close(found[1:], back[1:])
    torch.testing.assert_close(found[0], back[0])
    p1, p2 = l1.softmax(1)[0], l2.softmax(1)[0]
    torch.testing.assert_close(found[0], (p2 - p1).clamp(min=0).sum())


def test_votes_replace_the_consistency_term():
    inputs = draw()
    votes = [torch.rand(6, 3, dtype=torch.float64) for _ in range(2)]
    parts = p2c_parts(*inputs, votes1=votes[0], votes2=votes[1])
    torch.testing.assert_close(parts.consistency, vote_consistency(*inputs[:2], *votes))
    with pytest.raises(DataError, match="go together"):
        p2c(*inputs, votes1=votes[0])


def test_agreeing_heads_have_the_smallest_diversity():
    _, _, s1, s2, *_ = draw(b=1)
    rest = torch.zeros(1, 2), torch.zeros(1, 2)
    small = torch.full((3, 1), 0.99)
    label, none = torch.tensor([0]), torch.tensor([2])
    agree = p2c_parts(*rest, small, -small, label, none).diversity
    mixed = p2c_parts(*rest, s1.float(), s2.float(), label, none).diversity
    flat = p2c_parts(*rest, 0 * small, 0 * small, label, none).diversity
    assert agree < mixed
    assert agree < flat
    assert flat.item() == pytest.approx(math.log(2), rel=1e-6)


def test_one_head_has_no_diversity():
    l1, l2, s1, s2, labels, preference = draw(h=1)
    assert p2c_parts(l1, l2, s1, s2, labels, preference).diversity == 0


def test_a_text_without_partner_counts_in_the_classification_only():
    l1, l2, s1, s2, labels, preference = draw()
    l2 = torch.cat([l2[:5], l1[5:]])
    alone = torch.cat([preference[:5], torch.tensor([-1])])
    found = p2c_parts(l1, l2, s1, s2, labels, alone)
    wanted = by_hand(l1[:5], l2[:5], s1[:, :5], s2[:, :5], labels[:5], preference[:5])
    for a, b in zip(found[1:], wanted[1:], strict=True):
        torch.testing.assert_close(a, b)
    nobody = p2c_parts(l1, l2, s1, s2, labels, torch.full((6,), -1))
    assert nobody[1:] == (0, 0, 0)


def test_ties_only_is_fine():
    inputs = draw()
    assert torch.isfinite(p2c(*inputs[:5], torch.full((6,), 2)))


def test_subtracted_term_is_bounded_even_without_tanh():
    huge = torch.full((2, 1), 1000.0)
    opposed = torch.stack([torch.tensor([1000.0]), torch.tensor([-1000.0])])
    flat, label = torch.zeros(1, 2), torch.tensor([0])
    parts = p2c_parts(flat, flat, opposed, 0 * huge, label, torch.tensor([2]))
    assert parts.diversity.item() == pytest.approx(-math.log(1e-8), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_agrees(dtype):
    inputs = draw()
    half = [x.detach().to(dtype) for x in inputs[:4]]
    full = p2c(*[x.double() for x in half], *inputs[4:])
    torch.testing.assert_close(p2c(*half, *inputs[4:]).double(), full, rtol=3e-2, atol=3e-2)


def test_bad_input_is_refused():
    l1, l2, s1, s2, labels, preference = draw()
    with pytest.raises(DataError, match="row 1 is 3"):
        p2c(l1, l2, s1, s2, labels, torch.tensor([0, 3, 0, 0, 0, 0]))
    with pytest.raises(DataError, match="labels"):
        p2c(l1, l2, s1, s2, labels + 3, preference)
    with pytest.raises(DataError, match="scores1"):
        p2c(l1, l2, s1[:, :2], s2, labels, preference)
    with pytest.raises(DataError, match="logits2 holds NaN"):
        p2c(l1, l2 * float("nan"), s1, s2, labels, preference)
    with pytest.raises(DataError, match="one shape"):
        vote_consistency(l1, l2, torch.ones(6, 2), torch.ones(6, 3))
