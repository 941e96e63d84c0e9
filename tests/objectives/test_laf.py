import math

import pytest
import torch

from counterpoint.encoders.autoencoder import FeatureAutoencoder
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.laf import (
    LAFAlignment,
    LAFAutoencoder,
    LAFUnlearning,
    laf_alignment,
    laf_autoencoder,
    laf_unlearning,
    squashed_error,
)


def draw(seed=0):
    torch.manual_seed(seed)
    shapes = [(5, 4), (5, 4), (3, 4), (3, 4)]
    return [torch.randn(s, dtype=torch.float64).requires_grad_() for s in shapes]


def test_unlearning_is_its_formula_within_its_bounds():
    r, vr, f, vf = draw()
    terms = []
    for a, b in ((r, vr), (f, vf)):
        errors = [(x - y).square().sum() for x, y in zip(a, b, strict=True)]
        terms.append([(d / (d + 1)).exp() for d in errors])
        assert all(1 <= term < math.e for term in terms[-1])
    torch.testing.assert_close(laf_unlearning(r, vr, f, vf), sum(terms[0]) - sum(terms[1]))
    assert squashed_error(r, r) == 5
    assert squashed_error(r, r + 1e9).item() == pytest.approx(5 * math.e)


def test_unlearning_reaches_both_sides():
    inputs = draw()
    assert torch.autograd.gradcheck(laf_unlearning, inputs)
    grads = torch.autograd.grad(laf_unlearning(*inputs), inputs)
    torch.testing.assert_close(grads[0], -grads[1])
    assert all(g.abs().sum() > 0 for g in grads)


def test_alignment_is_its_formula():
    r, tr, f, tf = draw()
    cosine = torch.nn.functional.cosine_similarity
    kept, lost = 1 - cosine(r, tr), 1 - cosine(f, tf)
    ratio = [(c.exp() / (lost / 5).exp().sum()).log() for c in kept]
    torch.testing.assert_close(laf_alignment(r, tr, f, tf, temperature=5.0), sum(ratio))


def test_alignment_gradients_are_those_stated():
    r, tr, f, tf = draw()
    value = laf_alignment(r, tr, f, tf, temperature=5.0)
    kept, lost = (1 - torch.nn.functional.cosine_similarity(a, b) for a, b in ((r, tr), (f, tf)))
    push = -(5 / 5.0) * (lost / 5).softmax(0).detach()
    surrogate = kept.sum() + (push * lost).sum()
    for x in (r, f):
        a, b = (torch.autograd.grad(v, x, retain_graph=True)[0] for v in (value, surrogate))
        torch.testing.assert_close(a, b)
    assert torch.autograd.grad(value, [tr, tf], allow_unused=True) == (None, None)


def test_alignment_at_the_start():
    r, _, f, _ = draw()
    assert laf_alignment(r, r, f, f).item() == pytest.approx(-5 * math.log(3), abs=1e-9)


def test_zero_embeddings_are_orthogonal_with_a_finite_gradient():
    r = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    value = laf_alignment(r, t, t, t)
    assert value.item() == pytest.approx(1.0)
    assert torch.autograd.grad(value, r)[0][0, 0].item() == pytest.approx(-1e6)


def test_autoencoder_loss_is_its_formula():
    rebuilt, target, mean, _ = draw()
    mean = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    deviation = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    total = 0.0
    for i in range(5):
        total = total + (rebuilt[i] - target[i]).square().sum()
        for m, s in zip(mean[i], deviation[i], strict=True):
            total = total - 0.3 / 2 * ((s**2 + 1e-8).log() + 1 - m**2 - s**2)
    found = laf_autoencoder(rebuilt, target, mean, deviation, kl_weight=0.3)
    torch.testing.assert_close(found, total / 5)
    assert torch.autograd.grad(found, target, allow_unused=True) == (None,)
    unit = torch.ones(5, 2)
    assert laf_autoencoder(target, target, 0 * unit, unit).abs() < 1e-8


def test_head_gets_no_gradient_and_the_extractor_does():
    torch.manual_seed(0)
    extractor, head = torch.nn.Linear(6, 4), torch.nn.Linear(4, 3)
    keep, forget = (FeatureAutoencoder(4).eval() for _ in range(2))
    x, y = torch.randn(5, 6), torch.randn(3, 6)
    r, f = extractor(x), extractor(y)
    head(r)
    loss = laf_unlearning(r, keep(r).rebuilt, f, forget(f).rebuilt)
    loss = loss + laf_alignment(r, torch.randn(5, 4), f, torch.randn(3, 4))
    loss.backward()
    assert extractor.weight.grad.abs().sum() > 0
    assert head.weight.grad is None


def test_autoencoder_replays_its_noise_and_can_do_without():
    torch.manual_seed(0)
    model, h = FeatureAutoencoder(4, 3).eval(), torch.randn(5, 4)
    noise = torch.randn(5, 3)
    out = model(h, noise)
    assert torch.equal(out.rebuilt, model(h, noise).rebuilt)
    assert not torch.equal(model(h).rebuilt, model(h).rebuilt)
    assert torch.equal(model(h, sample=False).rebuilt, model(h, 0 * noise).rebuilt)
    assert out.deviation.min() > 0
    assert 0 < out.rebuilt.min() < out.rebuilt.max() < 1
    assert FeatureAutoencoder(4, bounded=False)(100 * h).rebuilt.min() < 0
    with pytest.raises(SettingError):
        FeatureAutoencoder(4, 0)


def test_modules_and_half_precision():
    inputs = draw()
    assert torch.equal(LAFUnlearning()(*inputs), laf_unlearning(*inputs))
    assert torch.equal(
        LAFAlignment(temperature=5.0)(*inputs), laf_alignment(*inputs, temperature=5.0)
    )
    four = [*inputs[:2], inputs[0], inputs[1].abs()]
    assert torch.equal(LAFAutoencoder()(*four), laf_autoencoder(*four))
    half = [x.detach().bfloat16() for x in inputs]
    full = laf_alignment(*[x.double() for x in half])
    torch.testing.assert_close(laf_alignment(*half).double(), full, rtol=2e-2, atol=5e-2)


def test_bad_input_is_refused():
    r, vr, f, vf = draw()
    with pytest.raises(DataError, match="remaining and remaining_rebuilt"):
        laf_unlearning(r, vr[:2], f, vf)
    with pytest.raises(DataError, match=r"forgetting holds NaN or infinity.*first: row 0"):
        laf_unlearning(r, vr, f * float("nan"), vf)
    with pytest.raises(DataError, match="skip this step"):
        laf_alignment(r, vr, f[:0], vf[:0])
    with pytest.raises(SettingError, match="temperature"):
        laf_alignment(r, vr, f, vf, temperature=0.0)
    with pytest.raises(DataError, match="B > 0"):
        laf_autoencoder(r, vr, f, vf)
