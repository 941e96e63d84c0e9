import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.metrix import (
    Metrix,
    PairMargin,
    metrix,
    mixed_margin_parts,
    pair_margin,
)
from counterpoint.pairs.metric_mixing import anchor_negative_pairs, positive_negative_pairs

LABELS = torch.tensor([0, 0, 1, 1, 2, 3, 0])
BALANCED = torch.tensor([0, 0, 1, 1, 2, 2])


def draw(n=7, seed=0):
    torch.manual_seed(seed)
    return torch.randn(n, 2, dtype=torch.float64, requires_grad=True)


def average(values):
    kept = [v for v in values if v > 0]
    return sum(kept) / len(kept) if kept else torch.zeros((), dtype=torch.float64)


def clean(e, labels, margin):
    z, n = normalize(e, dim=1), len(e)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    d = {(i, j): (z[i] - z[j]).norm() for i, j in pairs}
    positive = average([d[p] for p in pairs if labels[p[0]] == labels[p[1]]])
    return positive + average(
        [(margin - d[p]).clamp(min=0) for p in pairs if labels[p[0]] != labels[p[1]]]
    )


@pytest.mark.parametrize("margin", [0.5, 1.5])
@pytest.mark.parametrize("pairing", ["positive_negative", "anchor_negative"])
def test_is_a_loop(margin, pairing):
    e, weight = draw(), 0.3
    lists = []
    for a in range(7):
        friends = [p for p in range(7) if p != a and LABELS[p] == LABELS[a]]
        others = [n for n in range(7) if LABELS[n] != LABELS[a]]
        if pairing == "positive_negative":
            lists += [(a, p, n) for p in friends for n in others]
        elif not friends:
            lists += [(a, a, n) for n in others]
    unit = normalize(e, dim=1)
    d = [
        (unit[a] - normalize(weight * e[x] + (1 - weight) * e[n], dim=0)).norm()
        for a, x, n in lists
    ]
    mixed = average([weight * x for x in d])
    mixed = mixed + average([(1 - weight) * (margin - x).clamp(min=0) for x in d])
    wanted = clean(e, LABELS, margin) + 0.4 * mixed
    found = metrix(e, LABELS, weight, pairing=pairing, margin=margin)
    torch.testing.assert_close(found, wanted)
    module = Metrix(pairing=pairing, margin=margin)(e, LABELS, torch.tensor(weight).double())
    torch.testing.assert_close(module, found)
    for a, b in zip(*(torch.autograd.grad(x, e) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)


def test_gradient_numerically():
    assert torch.autograd.gradcheck(lambda x: metrix(x, LABELS, 0.4, margin=1.5), [draw()])


def test_extreme_weights_are_the_clean_parts():
    e = draw(6)
    pairs = positive_negative_pairs(BALANCED)
    positive, none = mixed_margin_parts(e, pairs, 1.0, margin=1.5)
    zero, negative = mixed_margin_parts(e, pairs, 0.0, margin=1.5)
    assert none == zero == 0
    torch.testing.assert_close(positive + negative, pair_margin(e, BALANCED, margin=1.5))
    torch.testing.assert_close(PairMargin(margin=1.5)(e, BALANCED), positive + negative)


def test_without_weight_it_is_the_baseline():
    e = draw()
    a = torch.autograd.grad(metrix(e, LABELS, 0.5, mixing=0.0), e)[0]
    torch.testing.assert_close(a, torch.autograd.grad(pair_margin(e, LABELS), e)[0])


def test_empty_pairings():
    e = draw(6)
    assert len(positive_negative_pairs(torch.arange(6)).anchor) == 0
    assert len(anchor_negative_pairs(BALANCED).anchor) == 0
    alone = torch.arange(6)
    torch.testing.assert_close(metrix(e, alone, 0.5), pair_margin(e, alone))
    torch.testing.assert_close(
        metrix(e, BALANCED, 0.5, pairing="anchor_negative"), metrix(e, BALANCED, 0.5)
    )
    same = torch.ones(4, 3, requires_grad=True)
    loss = metrix(same, torch.tensor([0, 0, 1, 1]), 0.5)
    assert torch.isfinite(torch.autograd.grad(loss, same)[0]).all()


def test_first_positive_only_repeats_it():
    pairs = positive_negative_pairs(LABELS, first_positive_only=True)
    full = positive_negative_pairs(LABELS)
    assert torch.equal(pairs.anchor, full.anchor)
    assert torch.equal(pairs.second, full.second)
    assert set(pairs.first[pairs.anchor == 0].tolist()) == {1}
    assert set(full.first[full.anchor == 0].tolist()) == {1, 6}


def test_bad_inputs_are_refused():
    e = draw()
    with pytest.raises(SettingError, match="pairing"):
        metrix(e, LABELS, 0.5, pairing="both")
    with pytest.raises(SettingError, match="mixing"):
        metrix(e, LABELS, 0.5, mixing=-1)
    with pytest.raises(SettingError, match="weight"):
        metrix(e, LABELS, 1.5)
    with pytest.raises(SettingError, match="margin"):
        pair_margin(e, LABELS, margin=0)
    with pytest.raises(DataError, match="weight"):
        metrix(e, LABELS, torch.ones(3))
    with pytest.raises(DataError, match="labels"):
        pair_margin(e, LABELS[:3])
