"""Every objective against its formula, written out densely in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, normalize

from counterpoint.objectives import functional as F
from counterpoint.pairs import Diagonal, SameLabel, SparsePairs

TEMPERATURES = [0.005, 0.07, 0.5, 10.0]
sweep = settings(max_examples=25, deadline=None, derandomize=True)
sizes, widths = st.integers(2, 9), st.integers(2, 5)
temperatures, seeds = st.sampled_from(TEMPERATURES), st.integers(0, 50)
reductions = st.sampled_from(["mean", "sum", "none"])


def rows(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def reduced(values, reduction, counted=None):
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.mean() if counted is None else values.sum() / max(1, int(counted.sum()))


def agree(ours, dense, leaves, tolerance=1e-9):
    size = max(1.0, dense.detach().abs().max().item())
    assert (ours - dense).abs().max() <= tolerance * size
    torch.manual_seed(0)
    weights = torch.randn_like(dense)
    grads = torch.autograd.grad((ours * weights).sum(), leaves)
    wanted = torch.autograd.grad((dense * weights).sum(), leaves)
    for grad, want in zip(grads, wanted, strict=True):
        assert (grad - want).abs().max() <= tolerance * max(10 * size, want.abs().max())


@sweep
@given(sizes, widths, temperatures, reductions, seeds)
def test_info_nce(n, d, t, reduction, seed):
    a, c = rows(seed, n, d), rows(seed + 1, n, d)
    s = normalize(a) @ normalize(c).T / t
    dense = cross_entropy(s, torch.arange(n), reduction=reduction)
    agree(F.info_nce(a, c, t, reduction=reduction), dense, [a, c])


@sweep
@given(sizes, widths, temperatures, reductions, seeds, st.booleans(), st.booleans())
def test_info_nce_with_a_bank(n, d, t, reduction, seed, in_batch, known):
    a, c, bank = rows(seed, n, d), rows(seed + 1, n, d), rows(seed + 2, n + 3, d)
    ids = torch.arange(n)
    bank_ids = torch.arange(n + 3).flip(0)
    positive = (normalize(a) * normalize(c)).sum(1, keepdim=True) / t
    negative = normalize(a) @ normalize(bank).T / t
    if known:
        negative = negative.masked_fill(ids[:, None] == bank_ids, -torch.inf)
    if in_batch:
        batch = normalize(a) @ normalize(c).T / t
        negative = torch.cat([negative, batch[~torch.eye(n, dtype=torch.bool)].view(n, -1)], 1)
    logits = torch.cat([positive, negative], 1)
    dense = cross_entropy(logits, torch.zeros(n, dtype=torch.long), reduction=reduction)
    ours = F.info_nce(
        a,
        c,
        t,
        negatives=bank,
        in_batch=in_batch,
        reduction=reduction,
        ids=ids if known else None,
        negative_ids=bank_ids if known else None,
    )
    agree(ours, dense, [a, c, bank])


def two_view_logits(z1, z2, t, normalized=True):
    z = torch.cat([z1, z2])
    z = normalize(z) if normalized else z
    n = len(z1)
    self_pair = torch.eye(2 * n, dtype=torch.bool)
    partner = self_pair.roll(n, 1)
    return z @ z.T / t, self_pair, partner


@sweep
@given(sizes, widths, temperatures, reductions, seeds, st.booleans())
def test_nt_xent(n, d, t, reduction, seed, per_row):
    z1, z2 = rows(seed, n, d), rows(seed + 1, n, d)
    t = t * torch.linspace(1, 2, 2 * n, dtype=torch.float64) if per_row else t
    s, self_pair, _ = two_view_logits(z1, z2, t[:, None] if per_row else t)
    target = torch.arange(2 * n).roll(n)
    dense = cross_entropy(s.masked_fill(self_pair, -torch.inf), target, reduction=reduction)
    agree(F.nt_xent(z1, z2, t, reduction=reduction), dense, [z1, z2])


def test_nt_xent_without_duplicates():
    z1, z2 = rows(0, 6, 4), rows(1, 6, 4)
    ids = torch.tensor([7, 7, 3, 4, 5, 3])
    s, self_pair, partner = two_view_logits(z1, z2, 0.2)
    same = (ids.repeat(2)[:, None] == ids.repeat(2)) & ~partner
    dense = cross_entropy(s.masked_fill(self_pair | same, -torch.inf), torch.arange(12).roll(6))
    agree(F.nt_xent(z1, z2, 0.2, ids=ids), dense, [z1, z2])


@sweep
@given(sizes, widths, temperatures, reductions, seeds, st.booleans(), st.booleans(), st.booleans())
def test_dcl_and_dclw(n, d, t, reduction, seed, symmetric, weighted, detached):
    z1, z2 = rows(seed, n, d), rows(seed + 1, n, d)
    s, self_pair, partner = two_view_logits(z1, z2, t)
    total = s.masked_fill(self_pair | partner, -torch.inf).logsumexp(1)
    positives = (normalize(z1) * normalize(z2)).sum(1)
    weights = 2 - n * (positives / 0.4).softmax(0) if weighted else torch.ones(n)
    weights = weights.detach() if detached else weights
    values = total - (weights * positives / t).repeat(2)
    values = values if symmetric else values[:n]
    shared = {"symmetric": symmetric, "reduction": reduction}
    if weighted:
        ours = F.dclw(z1, z2, t, sigma=0.4, detach_weight=detached, **shared)
    else:
        ours = F.dcl(z1, z2, t, **shared)
    agree(ours, reduced(values, reduction), [z1, z2])


def test_gradient_of_info_nce_is_q_times_that_of_dcl():
    z1, z2 = rows(0, 8, 5), rows(1, 8, 5)
    unit = normalize(z1).detach()
    others, partner = normalize(z2).detach(), normalize(z2).detach()[0]
    anchor = unit[0].clone().requires_grad_()
    negatives = torch.cat([unit[1:], others[1:]])
    u = (negatives @ anchor / 0.1).logsumexp(0)
    s = anchor @ partner / 0.1
    (coupled,) = torch.autograd.grad(torch.logaddexp(s, u) - s, anchor, retain_graph=True)
    (decoupled,) = torch.autograd.grad(u - s, anchor, retain_graph=True)
    ours = F.nt_xent(z1, z2, 0.1, reduction="none")[0] - F.dcl(z1, z2, 0.1, reduction="none")[0]
    torch.testing.assert_close(ours, torch.logaddexp(s, u) - u)
    q = (u - torch.logaddexp(s, u)).exp()
    assert 0 < q < 1
    torch.testing.assert_close(coupled, q * decoupled)


@sweep
@given(sizes, widths, temperatures, reductions, seeds, st.integers(1, 4))
def test_supcon(n, d, t, reduction, seed, classes):
    z = rows(seed, n, d)
    labels = torch.randint(-1, classes, (n,), generator=torch.Generator().manual_seed(seed))
    self_pair = torch.eye(n, dtype=torch.bool)
    s = (normalize(z) @ normalize(z).T / t).masked_fill(self_pair, -torch.inf)
    same = (labels[:, None] == labels) & (labels >= 0) & ~self_pair
    count = same.sum(1)
    pull = torch.where(same, s, 0.0).sum(1) / count.clamp(min=1)
    values = torch.where(count > 0, s.logsumexp(1) - pull, 0.0)
    ours = F.supcon(z, labels, t, reduction=reduction)
    agree(ours, reduced(values, reduction, count > 0), [z])


def test_supcon_keeps_duplicates_of_one_class():
    z, labels = rows(0, 6, 3), torch.tensor([0, 0, 1, 1, -1, -1])
    ids = torch.tensor([5, 5, 6, 8, 6, 6])
    self_pair = torch.eye(6, dtype=torch.bool)
    same = (labels[:, None] == labels) & (labels >= 0) & ~self_pair
    out = self_pair | ((ids[:, None] == ids) & ~same)
    s = (normalize(z) @ normalize(z).T / 0.1).masked_fill(out, -torch.inf)
    values = (s.logsumexp(1) - torch.where(same, s, 0.0).sum(1) / same.sum(1))[:4]
    agree(F.supcon(z, labels, ids=ids), values.mean(), [z])


@sweep
@given(sizes, widths, temperatures, reductions, seeds, st.booleans())
def test_clip(n, d, t, reduction, seed, per_row):
    x, y = rows(seed, n, d), rows(seed + 1, n, d)
    t = t * torch.linspace(1, 2, n, dtype=torch.float64) if per_row else t
    column = t[:, None] if per_row else t
    cosine, target = normalize(x) @ normalize(y).T, torch.arange(n)
    dense = (
        cross_entropy(cosine / column, target, reduction=reduction)
        + cross_entropy(cosine.T / column, target, reduction=reduction)
    ) / 2
    agree(F.clip(x, y, t, reduction=reduction), dense, [x, y])


@sweep
@given(sizes, widths, temperatures, reductions, seeds, st.sampled_from([(4,), (3, 4)]))
def test_cwcl(n, d, t, reduction, seed, shape):
    x, y, r = rows(seed, n, d), rows(seed + 1, n, d), rows(seed + 2, n, *shape)
    unit = normalize(r.detach(), dim=-1).reshape(n, -1, 4)
    weights = torch.einsum("icd,jcd->ij", unit, unit) / unit.shape[1] / 2 + 0.5
    s = normalize(x) @ normalize(y).T / t
    weighted = -(weights / weights.sum(1, keepdim=True) * s.log_softmax(1)).sum(1)
    values = weighted + cross_entropy(s.T, torch.arange(n), reduction="none")
    agree(F.cwcl(x, y, r, t, reduction=reduction), reduced(values, reduction), [x, y], 1e-6)


def test_cwcl_pulls_alike_at_samples_alike():
    x, y, r = rows(0, 4, 3), rows(1, 4, 3), rows(2, 4, 5).detach().clone()
    r[1] = r[0]
    with torch.no_grad():
        y[1] = y[0]
    (grad,) = torch.autograd.grad(F.cwcl(x, y, r, reduction="none")[0], y)
    reverse = F.info_nce(y, x, 0.07, reduction="none")[0]
    grad = grad - torch.autograd.grad(reverse, y)[0]
    torch.testing.assert_close(grad[0], grad[1])


def hard_reference(x, y, t, alpha, linear, bank=None):
    n = len(x)
    s = normalize(x) @ normalize(y).T / t
    negative = s[~torch.eye(n, dtype=torch.bool)].view(n, -1)
    if bank is not None:
        negative = torch.cat([negative, normalize(x) @ normalize(bank).T / t], 1)
    kept = negative.topk(max(1, math.ceil(alpha * negative.shape[1] - 1e-9)), 1).values
    positive = s.diagonal()
    if linear:
        return kept.mean(1) - positive
    return torch.cat([positive[:, None], kept], 1).logsumexp(1) - positive


@sweep
@given(sizes, widths, temperatures, reductions, seeds, st.sampled_from([0.05, 0.3, 1.0]))
def test_hard_and_simple_contrast(n, d, t, reduction, seed, alpha):
    x, y, bank = rows(seed, n, d), rows(seed + 1, n, d), rows(seed + 2, 5, d)
    shared = {"alpha": alpha, "negatives": bank, "reduction": reduction}
    dense = reduced(hard_reference(x, y, t, alpha, False, bank), reduction)
    agree(F.hard_contrastive(x, y, t, **shared), dense, [x, y, bank])
    dense = reduced(hard_reference(x, y, 1.0, alpha, True, bank), reduction)
    agree(F.simple_contrastive(x, y, **shared), dense, [x, y, bank])


def test_hard_contrast_with_all_negatives_is_info_nce():
    x, y = rows(0, 9, 4), rows(1, 9, 4)
    agree(F.hard_contrastive(x, y, 0.2, alpha=1.0), F.info_nce(x, y, 0.2), [x, y])


def test_alpha_absorbs_rounding():
    x, y = rows(0, 101, 4), rows(1, 101, 4)
    agree(
        F.hard_contrastive(x, y, 0.2, alpha=0.07),
        hard_reference(x, y, 0.2, 0.07, False).mean(),
        [x, y],
    )


def test_hard_contrast_of_two_views_in_one_batch():
    z1, z2 = rows(0, 5, 3), rows(1, 5, 3)
    ours = F.hard_contrastive(
        torch.cat([z1, z2]),
        torch.cat([z2, z1]),
        0.1,
        alpha=1.0,
        ids=torch.arange(5).repeat(2),
    )
    agree(ours, F.nt_xent(z1, z2, 0.1), [z1, z2])


@pytest.mark.parametrize("decoupled", [False, True])
def test_ready_descriptions_equal_bare_functions(decoupled):
    a, c = rows(0, 7, 4), rows(1, 7, 4)
    labels = torch.tensor([0, 1, 1, 2, 0, 2, 3])
    other = torch.tensor([1, 1, 0, 2, 2, 0, 1])
    listed = SparsePairs(
        torch.tensor([0, 0, 2, 6, 6]),
        torch.tensor([1, 3, 3, 0, 0]),
        (7, 7),
        torch.tensor([1.0, 0.5, 2.0, 1.0, 1.0], dtype=torch.float64),
    )
    for pairs in (Diagonal(), SameLabel(labels, other), listed):
        ready = F.contrast(a, c, positive=pairs, decoupled=decoupled)
        bare = F.contrast(a, c, positive=lambda i, j, pairs=pairs: pairs(i, j), decoupled=decoupled)
        agree(ready, bare, [a, c])


def test_contrast_covers_the_others():
    z1, z2 = rows(0, 6, 4), rows(1, 6, 4)
    z, labels = torch.cat([z1, z2]), torch.arange(6).repeat(2)

    def partner(i, j):
        return (i - j).abs() == 6

    def other(i, j):
        return i != j

    same = {"positive": partner, "valid": other}
    agree(F.contrast(z1, z2, 0.2), F.info_nce(z1, z2, 0.2), [z1, z2])
    agree(F.contrast(z, z, 0.2, **same), F.nt_xent(z1, z2, 0.2), [z1, z2])
    agree(F.contrast(z, z, 0.2, decoupled=True, **same), F.dcl(z1, z2, 0.2), [z1, z2])
    agree(
        F.contrast(z, z, 0.2, positive=SameLabel(labels), valid=other),
        F.supcon(z, labels, 0.2),
        [z1, z2],
    )


def test_contrast_with_a_margin_on_the_positive():
    a, c = rows(0, 6, 4), rows(1, 6, 4)
    s = normalize(a) @ normalize(c).T / 0.1 - 2 * torch.eye(6, dtype=torch.float64)
    ours = F.contrast(a, c, 0.1, logit=lambda logits, i, j: logits - 2.0 * (i == j))
    agree(ours, cross_entropy(s, torch.arange(6)), [a, c])


def test_log_denominators():
    a, c = rows(0, 6, 4), rows(1, 8, 4)
    dense = (normalize(a) @ normalize(c).T / 0.1).logsumexp(1)
    agree(F.log_denominators(a, c, 0.1), dense, [a, c])
