import math

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.dbl import (
    DBL,
    AbsoluteBoost,
    RelativeBoost,
    TripletRanking,
    absolute_boost,
    dbl,
    relative_boost,
    triplet_ranking,
)


def draw(n=7, seed=0):
    torch.manual_seed(seed)
    return [(2 * torch.rand(n, n, dtype=torch.float64) - 1).requires_grad_() for _ in range(2)]


def adapted(m, room, how):
    if how == "none":
        return m
    return m * math.tanh(room / m) if how == "soft" else min(m, room)


def by_hand(s, a, kind, hardest, how="none", m=0.2, beta=0.8, gamma=0.3):
    n, fold, total = len(s), max if hardest else sum, 0.0
    bm = beta * m
    for i in range(n):
        rows, columns = [0.0], [0.0]
        for j in range(n):
            if i == j:
                continue
            for cells, (x, y) in ((rows, (i, j)), (columns, (j, i))):
                if kind == "base":
                    value = m + s[x, y] - s[i, i]
                elif kind == "relative":
                    e = (a[i, i] - a[x, y]).item()
                    value = adapted(bm, 2 - e, how) + e - (s[i, i] - s[x, y])
                else:
                    below = adapted((1 - gamma) * bm, a[x, y].item() + 1, how)
                    value = below + s[x, y] - a[x, y].item()
                cells.append(value.clamp(min=0))
        total = total + fold(rows) + fold(columns)
        if kind == "absolute":
            above = adapted(gamma * bm, 1 - a[i, i].item(), how)
            total = total + 2 * (above + a[i, i].item() - s[i, i]).clamp(min=0)
    return total


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("how", ["none", "soft", "hard"])
@pytest.mark.parametrize("kind", ["base", "relative", "absolute"])
def test_value_and_gradient_are_those_of_a_loop(kind, hardest, how):
    s, a = draw()
    shared = {"margin": 0.2, "beta": 0.8, "hardest": hardest, "adaptation": how}
    found = {
        "base": lambda: triplet_ranking(s, margin=0.2, hardest=hardest),
        "relative": lambda: relative_boost(s, a, **shared),
        "absolute": lambda: absolute_boost(s, a, gamma=0.3, **shared),
    }[kind]()
    wanted = by_hand(s, a, kind, hardest, how)
    torch.testing.assert_close(found, wanted)
    left, right = (torch.autograd.grad(v, s)[0] for v in (found, wanted))
    torch.testing.assert_close(left, right)


def test_the_anchor_gets_no_gradient():
    s, a = draw()
    for boost in ("relative", "absolute"):
        (grad,) = torch.autograd.grad(dbl(s, a, boost=boost), a, allow_unused=True)
        assert grad is None


def test_total_is_base_plus_boost_over_the_mean_of_the_branches():
    s, a = draw()
    b = draw(seed=1)[0]
    wanted = triplet_ranking(s) + 0.7 * (relative_boost(s, a) + relative_boost(s, b)) / 2
    torch.testing.assert_close(dbl(s, [a, b], alpha=0.7), wanted)
    torch.testing.assert_close(dbl(s, a, alpha=0.0), triplet_ranking(s))


def test_equal_branches_leave_the_whole_margin():
    s, _ = draw()
    n, beta, m = 7, 0.6, 0.3
    for found in (
        relative_boost(s, s, margin=m, beta=beta),
        absolute_boost(s, s, margin=m, beta=beta, gamma=0.4),
    ):
        assert found.item() == pytest.approx(2 * n * beta * m)
    even = torch.zeros(n, n)
    assert triplet_ranking(even, margin=m).item() == pytest.approx(2 * n * m)


def test_relative_boost_is_zero_once_every_distance_is_ahead():
    _, a = draw()
    target = a.detach() + 0.21 * torch.eye(7)
    assert relative_boost(target, a) == 0
    assert relative_boost(target - 0.02 * torch.eye(7), a) > 0


def test_a_constant_added_to_a_row_leaves_the_image_queries():
    s, a = draw()
    moved = s.detach().clone()
    moved[2] += 5.0
    rows = [
        (0.2 + (a.diag()[:, None] - a) - (x.diag()[:, None] - x)).clamp(min=0).fill_diagonal_(0)
        for x in (s.detach(), moved)
    ]
    torch.testing.assert_close(rows[0].max(1).values, rows[1].max(1).values)
    assert absolute_boost(moved, a) != absolute_boost(s, a)


def test_gradient_of_an_active_row():
    s = torch.tensor([[0.0, 0.5], [-5.0, 9.0]], requires_grad=True)
    a = torch.zeros(2, 2)
    (grad,) = torch.autograd.grad(relative_boost(s, a), s)
    assert grad.tolist() == [[-1, 1], [0, 0]]


def test_a_batch_of_one_has_no_negatives():
    s, a = torch.tensor([[0.3]]), torch.tensor([[0.5]])
    assert triplet_ranking(s) == 0
    assert relative_boost(s, a) == 0
    assert absolute_boost(s, a).item() == pytest.approx(2 * (0.1 + 0.2))


def test_transposing_both_changes_nothing():
    s, a = draw()
    for boost in ("relative", "absolute"):
        torch.testing.assert_close(dbl(s.T, a.T, boost=boost), dbl(s, a, boost=boost))


def test_saturated_anchors_are_reachable_with_adaptation():
    perfect = 2 * torch.eye(5) - 1
    assert relative_boost(perfect, perfect) > 0
    assert relative_boost(perfect, perfect, adaptation="soft") == 0
    assert absolute_boost(perfect, perfect, adaptation="hard") == 0


def test_gradcheck_and_modules():
    s, a = draw(n=4)
    for function in (
        triplet_ranking,
        lambda x: relative_boost(x, a),
        lambda x: absolute_boost(x, a),
    ):
        assert torch.autograd.gradcheck(function, s)
    assert torch.equal(TripletRanking(margin=0.1)(s), triplet_ranking(s, margin=0.1))
    assert torch.equal(RelativeBoost(beta=2.0)(s, a), relative_boost(s, a, beta=2.0))
    assert torch.equal(AbsoluteBoost(gamma=0.2)(s, a), absolute_boost(s, a, gamma=0.2))
    assert torch.equal(DBL(boost="absolute")(s, a), dbl(s, a, boost="absolute"))


def test_half_precision_agrees():
    s, a = (x.detach().bfloat16() for x in draw())
    torch.testing.assert_close(dbl(s, a).double(), dbl(s.double(), a.double()), rtol=3e-2, atol=0.1)


def test_bad_input_is_refused():
    s, a = draw()
    with pytest.raises(DataError, match="anchor_scores must be a square"):
        relative_boost(s, a[:3])
    with pytest.raises(DataError, match="square"):
        triplet_ranking(s[:2])
    with pytest.raises(DataError, match="row 0"):
        triplet_ranking(s * float("nan"))
    with pytest.raises(DataError, match="no branch"):
        dbl(s, [])
    for settings in (
        {"margin": -1.0},
        {"beta": -1.0},
        {"boost": "other"},
        {"adaptation": "firm"},
        {"gamma": 2.0, "boost": "absolute"},
    ):
        with pytest.raises(SettingError):
            dbl(s, a, **settings)
