"""AMCL: identities of the specification, a slow loop, and what phi can and cannot express."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.encoders.pair_temperature import PairTemperature
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import AMCL, AMCLBarlow, AMCLSimSiam
from counterpoint.objectives import functional as F

N, C, D = 5, 3, 4
IDS = torch.tensor([0, 1, 1, 2, 3])


def heads(seed=0):
    torch.manual_seed(seed)
    return [torch.randn(N, C, D, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def phi_of(form="dot", width=D, **bounds):
    torch.manual_seed(1)
    phi = PairTemperature(width, hidden=6, form=form, **bounds).double()
    with torch.no_grad():
        phi.last.weight.mul_(10)
    return phi


def omega(t, width=D):
    return width / 2 * t.log() + 1 / t


def loop(z1, z2, phi, form, beta, hardest, decoupled, ids=None):
    both = torch.cat([z1, z2])
    ids = torch.arange(N) if ids is None else ids
    total = 0
    for i in range(2 * N):
        mate = (i + N) % (2 * N)
        rest = [j for j in range(2 * N) if ids[j % N] != ids[i % N]]
        for c in range(C):

            def pair(j, i=i, c=c):
                u, v = both[i, c], both[j, c]
                s = torch.dot(normalize(u, dim=0), normalize(v, dim=0))
                return s, phi(u, v)

            s, t = pair(mate)
            total = total - s / t + beta * omega(t)
            picked = sorted(rest, key=lambda j: -pair(j)[0].item())[:hardest]
            if form == "max":
                if not decoupled:
                    picked = sorted([mate, *rest], key=lambda j: -pair(j)[0].item())[:hardest]
                terms = [pair(j)[0] / pair(j)[1] - beta * omega(pair(j)[1]) for j in picked]
                total = total + sum(terms) / max(len(terms), 1)
            else:
                logits = [s / t for s, t in map(pair, picked)]
                logits += [] if decoupled else [s / t]
                total = total + torch.stack(logits).logsumexp(0)
                penalties = [omega(pair(j)[1]) for j in picked]
                total = total - beta * sum(penalties) / max(len(penalties), 1)
    return total / (2 * N)


@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize(
    ("form", "hardest", "pair_form"),
    [
        ("softmax", None, "dot"),
        ("softmax", 2, "dot"),
        ("softmax", 2, "concatenation"),
        ("max", 1, "concatenation"),
        ("max", 3, "dot"),
    ],
)
def test_is_a_loop(form, hardest, pair_form, decoupled):
    z1, z2 = heads()
    phi = phi_of(pair_form)
    wanted = loop(z1, z2, phi, form, 0.3, hardest, decoupled, IDS)
    found = AMCL(pair_temperature=phi, form=form, beta=0.3, hardest=hardest, decoupled=decoupled)(
        z1, z2, ids=IDS
    )
    torch.testing.assert_close(found, wanted)
    leaves = [z1, z2, *phi.parameters()]
    grads = torch.autograd.grad(found, leaves, allow_unused=True)
    for a, b in zip(grads, torch.autograd.grad(wanted, leaves, allow_unused=True), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_derivatives_numerically(reduction):
    z1, z2 = heads()
    phi = phi_of()
    options = {"pair_temperature": phi, "beta": 0.3, "decoupled": False, "reduction": reduction}
    assert torch.autograd.gradcheck(lambda a, b: F.amcl(a, b, **options), [z1, z2])


def test_one_head_of_one_temperature_is_the_standard_loss_whatever_beta():
    z1, z2 = (z[:, 0] for z in heads())
    for beta in (0, 0.7):
        torch.testing.assert_close(F.amcl(z1, z2, 0.2, beta=beta), F.dcl(z1, z2, 0.2))
        full = F.amcl(z1, z2, 0.2, beta=beta, decoupled=False)
        torch.testing.assert_close(full, F.nt_xent(z1, z2, 0.2))


def test_one_constant_temperature_cancels_the_penalties_of_the_maximum():
    z1, z2 = heads()
    one, other = (F.amcl(z1, z2, 0.2, form="max", beta=beta) for beta in (0, 5))
    torch.testing.assert_close(one, other)


def test_all_hardest_are_all():
    z1, z2 = heads()
    phi = phi_of()
    found = F.amcl(z1, z2, pair_temperature=phi, hardest=100)
    torch.testing.assert_close(found, F.amcl(z1, z2, pair_temperature=phi))
    one = F.amcl(z1, z2, pair_temperature=phi, form="max", hardest=1)
    torch.testing.assert_close(F.amcl(z1, z2, pair_temperature=phi, form="max"), one)


def test_the_softmax_form_has_the_maximum_as_its_hard_limit():
    z1, z2 = heads()
    cold = 1e-3
    soft = cold * F.amcl(z1, z2, cold, reduction="none")
    hard = cold * F.amcl(z1, z2, cold, form="max", reduction="none")
    torch.testing.assert_close(soft, hard, atol=0.01, rtol=0)


def test_the_nearest_positive_makes_the_coupled_maximum_exactly_zero():
    z1, _ = heads()
    phi = phi_of("concatenation")
    values = F.amcl(
        z1, z1.clone(), pair_temperature=phi, form="max", decoupled=False, reduction="none"
    )
    assert (values == 0).all()
    (grad,) = torch.autograd.grad(values.sum(), z1)
    assert grad.abs().max() < 1e-15


def test_heads_are_summed_or_averaged():
    z1, z2 = heads()
    each = [F.amcl(z1[:, c], z2[:, c], 0.3) for c in range(C)]
    torch.testing.assert_close(F.amcl(z1, z2, 0.3), sum(each))
    torch.testing.assert_close(F.amcl(z1, z2, 0.3, heads="mean"), sum(each) / C)


def test_a_queue_replaces_the_negatives_of_the_batch():
    z1, z2 = heads()
    queue = torch.randn(7, C, D, dtype=torch.float64, requires_grad=True)
    found = F.amcl(z1, z2, 0.2, negatives=queue, decoupled=False, reduction="none")
    each = [
        F.info_nce(z1[:, c], z2[:, c], 0.2, negatives=queue[:, c], in_batch=False, reduction="none")
        for c in range(C)
    ]
    torch.testing.assert_close(found, sum(each))
    assert torch.autograd.grad(found.sum(), queue, allow_unused=True) == (None,)
    ids, queue_ids = torch.arange(N), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    one = F.amcl(
        z1, z2, 0.2, negatives=queue, ids=ids, negative_ids=queue_ids, form="max", hardest=7
    )
    assert torch.isfinite(one)


def test_without_negatives_only_the_positive_remains():
    z1, z2 = (z[:1] for z in heads())
    phi = phi_of()
    t = phi(z1, z2)
    s = torch.cosine_similarity(z1, z2, dim=2)
    want = (-s / t + 0.1 * omega(t)).sum()
    for form, hardest in (("softmax", None), ("softmax", 2), ("max", None)):
        found = F.amcl(z1, z2, pair_temperature=phi, form=form, hardest=hardest)
        torch.testing.assert_close(found, want)


def test_the_penalty_is_least_at_two_over_the_width():
    t = torch.linspace(0.01, 1, 10_000, dtype=torch.float64)
    assert t[F.temperature_penalty(t, 8).argmin()].item() == pytest.approx(2 / 8, abs=1e-3)


@pytest.mark.parametrize(("s", "beta"), [(0.2, 1), (0.9, 1), (-0.4, 1), (0.1, 0.5)])
def test_far_positives_get_a_higher_temperature(s, beta):
    width = 16
    best = torch.tensor(2 * (beta - s) / (beta * width), dtype=torch.float64, requires_grad=True)
    loss = -s / best + beta * F.temperature_penalty(best, width)
    (slope,) = torch.autograd.grad(loss, best)
    assert slope.item() == pytest.approx(0, abs=1e-9)


def test_without_the_bounds_the_loss_has_none():
    t = torch.tensor([1e-2, 1e-4], dtype=torch.float64)
    positive = -0.9 / t + 0.1 * F.temperature_penalty(t, D)
    assert positive[1] < positive[0] < -50
    far = torch.tensor([1e-4, 1e300], dtype=torch.float64)
    negative = 0.05 / far - 0.1 * F.temperature_penalty(far, D)
    assert (negative < -100).all()


def test_phi_begins_near_the_middle_and_reaches_every_weight():
    torch.manual_seed(0)
    phi = PairTemperature(D)
    z1, z2 = (z.float() for z in heads())
    t = phi(z1, z2)
    assert (t - (phi.lowest + phi.highest) / 2).abs().max() < 0.1
    AMCL(pair_temperature=phi)(z1, z2).backward()
    assert all(p.grad.abs().max() > 0 for p in phi.parameters())
    assert "pair_temperature.first.weight" in AMCL(pair_temperature=phi).state_dict()


def test_equal_vectors_never_get_less_than_the_middle_from_a_dot_product():
    phi = phi_of(lowest=0.1, highest=0.9)
    z = torch.randn(200, D, dtype=torch.float64)
    assert (phi(z, z) >= 0.5).all()
    a, b = z[:, None], z[None]
    torch.testing.assert_close(phi(a, b), phi(b, a))
    other = phi_of("concatenation")
    assert (other(a, b) - other(b, a)).abs().max() > 1e-3


def test_temperatures_run_into_the_bound_without_the_penalty():
    torch.manual_seed(0)
    base = torch.randn(64, 16)
    a, b = (base + 0.6 * torch.randn(64, 16) for _ in range(2))
    s = torch.cosine_similarity(a, b)
    shares = []
    for beta in (0.0, 1.0):
        torch.manual_seed(0)
        phi = PairTemperature(16, form="concatenation", lowest=0.001, highest=1)
        optimiser = torch.optim.Adam(phi.parameters(), lr=1e-2)
        for _ in range(200):
            t = phi(a, b)
            optimiser.zero_grad()
            (-s / t + beta * F.temperature_penalty(t, 16)).mean().backward()
            optimiser.step()
        shares.append(phi.share_at_bound(phi(a, b)).item())
        if beta:
            assert torch.corrcoef(torch.stack([phi(a, b).detach(), s]))[0, 1] < -0.5
    assert shares[0] > 0.9
    assert shares[1] < 0.1


def test_simsiam_is_a_loop():
    p1, p2 = heads()
    h1, h2 = heads(2)
    for phi, constant in ((phi_of("concatenation"), 0.1), (None, 0.3)):
        want = 0
        for i in range(N):
            for c in range(C):
                for p, h in ((p1, h2), (p2, h1)):
                    u, v = p[i, c], h[i, c].detach()
                    t = torch.tensor(constant, dtype=u.dtype) if phi is None else phi(u, v)
                    s = torch.cosine_similarity(u, v, dim=0)
                    want = want - s / (2 * t) + 0.2 * omega(t)
        module = AMCLSimSiam(constant, pair_temperature=phi, beta=0.2)
        found = module(p1, p2, h1, h2)
        torch.testing.assert_close(found, want / N)
        assert torch.autograd.grad(found, h1, allow_unused=True, retain_graph=True) == (None,)
        a, b = torch.autograd.grad(found, p1)[0], torch.autograd.grad(want / N, p1)[0]
        torch.testing.assert_close(a, b)


def test_barlow_is_a_loop():
    z1, z2 = heads()
    for phi in (phi_of("dot", N), phi_of("concatenation", N), None):
        want = 0
        for c in range(C):
            x, y = ((z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt()
                    for z in (z1[:, c], z2[:, c]))  # fmt: skip
            for k in range(D):
                for m in range(D):
                    u, v = x[:, k], y[:, m]
                    t = torch.tensor(0.7, dtype=u.dtype) if phi is None else phi(u, v)
                    r = torch.dot(u, v) / N
                    if k == m:
                        want = want + (1 - r / t) ** 2 + 0.2 * omega(t)
                    else:
                        want = want + 0.01 * r**2 / t - 0.2 * omega(t)
        module = AMCLBarlow(0.7, pair_temperature=phi, beta=0.2, off_diagonal=0.01)
        found = module(z1, z2)
        torch.testing.assert_close(found, want)
        torch.testing.assert_close(
            torch.autograd.grad(found, z1)[0], torch.autograd.grad(want, z1)[0]
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    z1, z2 = (z.detach().to(dtype) for z in heads())
    phi = phi_of().float()
    for more in ({}, {"hardest": 2}, {"form": "max"}):
        found = F.amcl(z1, z2, pair_temperature=phi, **more)
        torch.testing.assert_close(
            found, F.amcl(z1.float(), z2.float(), pair_temperature=phi, **more)
        )


@pytest.mark.parametrize("bounds", [(1e-3, 2e-3), (5, 10)])
def test_finite_at_extreme_temperatures_and_zero_vectors(bounds):
    z1, z2 = (z.detach().float() for z in heads())
    z1[1] = z2[2] = 0
    z1.requires_grad_()
    phi = phi_of(lowest=bounds[0], highest=bounds[1]).float()
    for more in ({}, {"hardest": 2}, {"form": "max"}):
        loss = F.amcl(z1, z2, pair_temperature=phi, **more)
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, z1)[0]).all()


def test_what_does_not_fit_is_refused():
    z1, z2 = heads()
    with pytest.raises(SettingError, match="hardest="):
        F.amcl(z1, z2, pair_temperature=phi_of("concatenation"))
    with pytest.raises(DataError, match="same heads"):
        F.amcl(z1, z2[:, :2])
    with pytest.raises(DataError, match="row 3"):
        F.amcl(z1, z2.detach().index_fill(0, torch.tensor([3]), math.nan))
    with pytest.raises(DataError, match="single sample"):
        F.amcl_barlow(z1[:1], z2[:1])
    for wrong in ({"form": "min"}, {"heads": "all"}, {"beta": -1}, {"hardest": 0}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            F.amcl(z1, z2, **wrong)
    with pytest.raises(SettingError, match="off_diagonal"):
        F.amcl_barlow(z1, z2, off_diagonal=-1)
    for wrong in ({"form": "sum"}, {"lowest": 0}, {"lowest": 2, "highest": 1}):
        with pytest.raises(SettingError):
            PairTemperature(D, **wrong)
