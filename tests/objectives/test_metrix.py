import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.metrix import (
    Metrix,
    MetrixMultiSimilarity,
    MetrixProxyAnchor,
    PairMargin,
    metrix,
    metrix_multi_similarity,
    metrix_proxy_anchor,
    mixed_margin_parts,
    pair_margin,
)
from counterpoint.objectives.multi_similarity import multi_similarity
from counterpoint.objectives.proxy_anchor import proxy_anchor
from counterpoint.pairs.metric_mixing import (
    MixedPairs,
    anchor_negative_pairs,
    positive_negative_pairs,
    prototype_pairs,
)

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


def test_mixtures_along_the_anchor_and_empty_ones_count_as_they_are():
    e = torch.tensor([[1.0, 0], [3, 0], [0, 2], [-1, 0]], dtype=torch.float64, requires_grad=True)
    along = MixedPairs(*torch.tensor([[0, 0], [1, 1], [1, 2]]).unbind())
    positive, _ = mixed_margin_parts(e, along, 0.25)
    apart = normalize(0.25 * e[1] + 0.75 * e[2], dim=0) - e[0]
    torch.testing.assert_close(positive, 0.25 * apart.norm())
    nothing = MixedPairs(*torch.tensor([[2], [0], [3]]).unbind())
    positive, negative = mixed_margin_parts(e, nothing, 0.5, margin=1.5)
    torch.testing.assert_close(positive.item(), 0.5)
    torch.testing.assert_close(negative.item(), 0.25)
    assert torch.isfinite(torch.autograd.grad(positive + negative, e)[0]).all()


@pytest.mark.parametrize("objective", [metrix, metrix_multi_similarity])
def test_no_mixture_is_kept(objective):
    e, labels = torch.randn(24, 64, requires_grad=True), torch.arange(24) % 3
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.untyped_storage().nbytes()) or x, lambda x: x
    ):
        objective(e, labels, 0.3)
    three_indices = 3 * 8 * len(positive_negative_pairs(labels).anchor)
    assert max(sizes) <= three_indices


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


def mixtures(a, labels, pairing):
    friends = [p for p in range(7) if p != a and labels[p] == labels[a]]
    others = [n for n in range(7) if labels[n] != labels[a]]
    if pairing == "positive_negative":
        return [(p, n) for p in friends for n in others]
    return [] if friends else [(a, n) for n in others]


def soft_maxima(anchor, e, seen, weights, near, far):
    """Weighted ``log(1 + sum exp)`` of what one anchor sees; sharpness and base of each."""
    sums = [torch.ones((), dtype=e.dtype), torch.ones((), dtype=e.dtype)]
    for (x, n), w in zip(seen, weights, strict=True):
        s = normalize(anchor, dim=0) @ normalize(w * e[x] + (1 - w) * e[n], dim=0)
        sums[0] = sums[0] + w * (-near[0] * (s - near[1])).exp()
        sums[1] = sums[1] + (1 - w) * (far[0] * (s - far[1])).exp()
    return [x.log() for x in sums]


@pytest.mark.parametrize("pairing", ["positive_negative", "anchor_negative"])
def test_multi_similarity_is_a_loop(pairing):
    e, alpha, beta, m = draw(), 2.0, 6.0, 0.3
    total = sum(len(mixtures(a, LABELS, pairing)) for a in range(7))
    weights = torch.linspace(0, 1, total).double()
    left, mixed = iter(weights), 0
    for a in range(7):
        seen = mixtures(a, LABELS, pairing)
        own = [next(left) for _ in seen]
        near, far = soft_maxima(e[a], e, seen, own, (alpha, m), (beta, m))
        mixed = mixed + (near / alpha + far / beta) / 7
    settings = {"alpha": alpha, "beta": beta, "base": m}
    want = multi_similarity(e, LABELS, **settings) + 0.4 * mixed
    found = MetrixMultiSimilarity(pairing=pairing, **settings)(e, LABELS, weights)
    torch.testing.assert_close(found, want)
    for a, b in zip(*(torch.autograd.grad(x, e) for x in (found, want)), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(
        lambda x: metrix_multi_similarity(x, LABELS, 0.3, pairing=pairing, **settings), [e]
    )


def test_proxy_anchor_is_a_loop():
    e, alpha, m = draw(), 3.0, 0.2
    labels = torch.tensor([0, 0, 1, 1, 2, -1, 0])
    prototypes = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    near, far = [], []
    for c in range(4):
        own = [i for i in range(7) if labels[i] == c]
        seen = [(i, j) for i in own for j in range(7) if labels[j] not in (c, -1)]
        parts = soft_maxima(prototypes[c], e, seen, [0.3] * len(seen), (alpha, m), (alpha, -m))
        near.append(parts[0])
        far.append(parts[1])
    clean = proxy_anchor(e, labels, prototypes, alpha=alpha, margin=m)
    want = clean + 0.4 * (sum(near) / 3 + sum(far) / 4)
    found = MetrixProxyAnchor(alpha=alpha, margin=m)(e, labels, prototypes, 0.3)
    torch.testing.assert_close(found, want)
    leaves = [e, prototypes]
    for a, b in zip(*(torch.autograd.grad(x, leaves) for x in (found, want)), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(
        lambda x, c: metrix_proxy_anchor(x, labels, c, 0.3, alpha=alpha), leaves
    )


def test_weights_of_a_mixture_sum_to_one():
    e, prototypes = draw(), torch.randn(4, 2, dtype=torch.float64)
    whole = metrix_proxy_anchor(e, LABELS, prototypes, 1.0, mixing=1.0, alpha=3)
    clean = proxy_anchor(e, LABELS, prototypes, alpha=3)
    count = torch.tensor([3 * 4, 2 * 5, 6, 6])
    s = normalize(prototypes, dim=1) @ normalize(e, dim=1).T
    near = [
        (1 + sum((7 - int((c == LABELS).sum())) * (-3 * (s[c, i] - 0.1)).exp()
                 for i in range(7) if LABELS[i] == c)).log()
        for c in range(4)
    ]  # fmt: skip
    torch.testing.assert_close(whole - clean, sum(near) / 4)
    assert len(prototype_pairs(LABELS).anchor) == count.sum()


def test_without_mixtures_or_weight_they_are_the_plain_losses():
    e, prototypes = draw(), torch.randn(4, 2, dtype=torch.float64)
    one = torch.zeros(7, dtype=torch.long)
    for labels, mixing in ((LABELS, 0.0), (one, 0.4)):
        torch.testing.assert_close(
            metrix_multi_similarity(e, labels, 0.5, mixing=mixing), multi_similarity(e, labels)
        )
        torch.testing.assert_close(
            metrix_proxy_anchor(e, labels, prototypes, 0.5, mixing=mixing),
            proxy_anchor(e, labels, prototypes),
        )
    for wrong in (-0.1, 1.5):
        with pytest.raises(SettingError, match="weight"):
            metrix_proxy_anchor(e, LABELS, prototypes, wrong)
    with pytest.raises(DataError, match="weight"):
        metrix_multi_similarity(e, LABELS, torch.ones(3))
    with pytest.raises(SettingError, match="mixing"):
        metrix_proxy_anchor(e, LABELS, prototypes, 0.5, mixing=-1)
