"""M3Co, soft CLIP and their sum, against plain loops and each other."""

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import M3Co
from counterpoint.objectives.clip import clip
from counterpoint.objectives.m3col import m3co, m3col, soft_clip
from counterpoint.pairs.partner_mixing import PartnerMixing, draw_partner_mixing


def draw(rows=7, width=4):
    torch.manual_seed(rows)
    a, b = torch.randn(2, rows, width, dtype=torch.float64)
    partner = torch.randperm(rows)
    share = torch.rand(rows, dtype=torch.float64)
    share[::3] = 1
    return a.requires_grad_(), b.requires_grad_(), PartnerMixing(partner, share)


def cosines(x, y, temperature):
    unit = torch.nn.functional.normalize
    return unit(x) @ unit(y).T / temperature


def targets(way):
    p = torch.zeros(len(way.share), len(way.share), dtype=torch.float64)
    for i, (j, share) in enumerate(zip(way.partner, way.share, strict=True)):
        p[i, i] += share
        p[i, j] += 1 - share
    return p


@pytest.mark.parametrize("bidirectional", [True, False])
def test_mixup_loss_equals_the_dense_formula(bidirectional):
    a, b, way = draw()
    s, p = cosines(way(a), b, 0.3), targets(way)
    rows = -(p * s.log_softmax(1)).sum(1)
    want = (rows + -(p * s.log_softmax(0)).sum(0)) / 2 if bidirectional else rows
    for reduction, expected in (("none", want), ("mean", want.mean()), ("sum", want.sum())):
        got = m3co(
            way(a), b, way.partner, way.share, 0.3, bidirectional=bidirectional, reduction=reduction
        )
        torch.testing.assert_close(got, expected)
    grads = torch.autograd.grad(want.mean(), (a, b))
    loss = m3co(way(a), b, way.partner, way.share, 0.3, bidirectional=bidirectional)
    torch.testing.assert_close(torch.autograd.grad(loss, (a, b)), grads)


@pytest.mark.parametrize("rows", [1, 7])
def test_soft_clip_equals_the_dense_formula(rows):
    x, y, _ = draw(rows)
    q, s = cosines(y, y, 0.125).softmax(1), cosines(x, y, 0.125)
    want = -(q * (s.log_softmax(1) + s.T.log_softmax(1))).sum(1).mean() / 2
    loss = soft_clip(x, y)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (x, y)), torch.autograd.grad(want, (x, y)), atol=1e-10, rtol=1e-8
    )


def test_derivatives_numerically():
    a, b, way = draw(4)
    temperature = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y, t: m3co(x, y, way.partner, way.share, t), (a, b, temperature)
    )


def test_shares_of_one_and_fixed_points_are_clip():
    a, b, way = draw()
    ones = torch.ones(7, dtype=torch.float64)
    torch.testing.assert_close(m3co(a, b, way.partner, ones), clip(a, b, 0.1))
    torch.testing.assert_close(m3co(a, b, torch.arange(7), way.share), clip(a, b, 0.1))
    temperatures = torch.linspace(0.1, 1, 7, dtype=torch.float64)
    torch.testing.assert_close(
        m3co(a, b, way.partner, ones, temperatures), clip(a, b, temperatures)
    )


def test_released_code_drops_a_fixed_point_that_is_not_mixed():
    a, b, _ = draw()
    ones, partner = torch.ones(7, dtype=torch.float64), torch.tensor([0, 2, 3, 4, 5, 6, 1])
    terms = m3co(a, b, partner, ones, variant="released", reduction="none", bidirectional=False)
    want = m3co(a, b, partner, ones, reduction="none", bidirectional=False)
    assert terms[0] == 0
    torch.testing.assert_close(terms[1:], want[1:])


def test_order_of_the_batch_does_not_matter():
    a, b, way = draw()
    order = torch.randperm(7)
    partner = order.argsort()[way.partner[order]]
    moved = PartnerMixing(partner, way.share[order])
    torch.testing.assert_close(
        m3co(moved(a[order]), b[order], partner, moved.share),
        m3co(way(a), b, way.partner, way.share),
    )


def test_the_cycle_sums_both_directions():
    a, b, way = draw()
    back = PartnerMixing(way.partner.flip(0), way.share.flip(0))
    both = m3co(way(a), b, way.partner, way.share) + m3co(back(b), a, back.partner, back.share)
    torch.testing.assert_close(m3col([a, b], [way, back]), both)
    torch.testing.assert_close(m3col([a, b]), soft_clip(a, b) + soft_clip(b, a))
    three = soft_clip(a, b) + soft_clip(b, -a) + soft_clip(-a, a)
    torch.testing.assert_close(m3col([a, b, -a]), three)


def test_a_pair_alone_gives_nothing_and_zero_vectors_stay_finite():
    a, b, _ = draw(1)
    assert abs(m3co(a, b, torch.tensor([0]), torch.ones(1)).item()) < 1e-12
    zero = torch.zeros(3, 4, requires_grad=True)
    loss = m3co(zero, torch.randn(3, 4), torch.tensor([1, 2, 0]), torch.full((3,), 0.5))
    loss.backward()
    assert torch.isfinite(zero.grad).all()


def test_draws_select_some_rows_and_leave_the_input_alone():
    x = torch.randn(4000, 2)
    kept = x.clone()
    way = draw_partner_mixing(x, 1.0, generator=torch.Generator().manual_seed(0))
    assert sorted(way.partner.tolist()) == list(range(4000))
    assert (way.share == 1).float().mean() == pytest.approx(0.5, abs=0.03)
    assert way.share[way.share < 1].mean() == pytest.approx(0.5, abs=0.03)
    mixed = way(x)
    assert torch.equal(x, kept)
    assert torch.equal(mixed[way.share == 1], x[way.share == 1])
    torch.testing.assert_close(
        mixed[5], way.share[5] * x[5] + (1 - way.share[5]) * x[way.partner[5]]
    )
    assert (draw_partner_mixing(x, selected=0.0).share == 1).all()


def test_module_and_bad_input():
    a, b, way = draw()
    assert torch.equal(
        M3Co(bidirectional=False)(a, b, way.partner, way.share),
        m3co(a, b, way.partner, way.share, bidirectional=False),
    )
    with pytest.raises(DataError, match="positions"):
        m3co(a, b, way.partner + 1, way.share)
    with pytest.raises(DataError, match="share"):
        m3co(a, b, way.partner, way.share + 0.5)
    with pytest.raises(DataError, match="row 2"):
        m3co(a, b.detach().index_fill(0, torch.tensor([2]), torch.nan), way.partner, way.share)
    with pytest.raises(SettingError, match="variant"):
        m3co(a, b, way.partner, way.share, variant="mine")
    with pytest.raises(DataError, match="modalities"):
        m3col([a])
    with pytest.raises(DataError, match="rows"):
        way(a[:3])
    with pytest.raises(SettingError, match="probability"):
        draw_partner_mixing(a, selected=2)


def test_what_is_kept_for_backward_grows_with_the_rows():
    kept = []
    for rows in (128, 512):
        x, y = torch.randn(2, rows, 8, requires_grad=True)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
        ):
            m3co(x, y, torch.randperm(rows), torch.rand(rows))
        kept.append(sum(sizes))
    assert kept[1] < 4.2 * kept[0]
