import math

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss, normalize

from counterpoint.encoders.layer_statistics import PromptGenerator, content_and_style
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.gopro import (
    GOPro,
    PromptConsistency,
    gopro,
    gopro_parts,
    prompt_consistency,
)


def draw(b=4, k=3, d=5, e=6):
    torch.manual_seed(0)
    texts = [torch.randn(b, k, d, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    z = [torch.randn(b, e, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    logits = torch.randn(b, k, dtype=torch.float64, requires_grad=True)
    return (logits, torch.arange(b) % k, *texts, *z)


def contrast_by_hand(a, b, tau):
    a, b = normalize(a, dim=1), normalize(b, dim=1)
    n, total = len(a), 0.0
    for p, q in ((a, b), (b, a)):
        for i in range(n):
            row = [p[i] @ q[j] / tau for j in range(n)]
            row += [p[i] @ p[j] / tau for j in range(n) if j != i]
            total = total + (torch.stack(row).logsumexp(0) - p[i] @ q[i] / tau) / (2 * n)
    return total


def test_equals_its_parts_by_hand():
    inputs = draw()
    logits, labels, t, t1, t2, z, z1 = inputs
    unit = [normalize(x, dim=-1) for x in (t, t1, t2)]
    consistency = mse_loss(unit[0], unit[1]) + mse_loss(unit[0], unit[2])
    wanted = cross_entropy(logits, labels) + 2 * consistency + 0.3 * contrast_by_hand(z, z1, 0.2)
    found = gopro(*inputs, temperature=0.2, consistency_weight=2.0, contrast_weight=0.3)
    torch.testing.assert_close(found, wanted)
    leaves = [x for x in inputs if x.requires_grad]
    for a, b in zip(
        torch.autograd.grad(found, leaves), torch.autograd.grad(wanted, leaves), strict=True
    ):
        torch.testing.assert_close(a, b)
    assert torch.equal(GOPro()(*inputs), gopro(*inputs))
    assert torch.equal(PromptConsistency()(t, t1), prompt_consistency(t, t1))


def test_equal_views_are_consistent_and_scale_is_free():
    t = draw()[2]
    assert prompt_consistency(t, 3 * t, t) < 1e-30
    assert prompt_consistency(t, -t).item() == pytest.approx(4 / 5)


def test_contrast_reaches_the_projection_only():
    inputs = draw()
    parts = gopro_parts(*inputs)
    grads = torch.autograd.grad(
        parts.contrast, [inputs[0], *inputs[2:5]], allow_unused=True, retain_graph=True
    )
    assert grads == (None,) * 4


def test_one_image_needs_the_contrast_off():
    inputs = [x[:1] for x in draw()]
    with pytest.raises(DataError, match="no negatives"):
        gopro(*inputs)
    assert torch.isfinite(gopro(*inputs, contrast_weight=0.0))


def test_statistics_are_biased_with_the_constant_inside_the_sum():
    torch.manual_seed(0)
    tokens = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    mu, sigma = content_and_style(tokens)
    torch.testing.assert_close(mu, tokens.mean(1))
    torch.testing.assert_close(sigma, (tokens.var(1, unbiased=False) + 2.3e-8 / 7).sqrt())
    flat = torch.ones(1, 4, 2, requires_grad=True)
    _, sigma = content_and_style(flat)
    assert sigma[0, 0].item() == pytest.approx(math.sqrt(2.3e-8 / 4))
    assert torch.isfinite(torch.autograd.grad(sigma.sum(), flat)[0]).all()
    with pytest.raises(DataError):
        content_and_style(tokens[0])


def test_every_context_token_gets_the_same_shift():
    torch.manual_seed(0)
    context = torch.randn(4, 5)
    generator = PromptGenerator(2, 3, 5, context)
    layers = [torch.randn(6, 7, 3, requires_grad=True) for _ in range(2)]
    out = generator(layers)
    shift = out - context
    assert out.shape == (6, 4, 5)
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift))
    assert not torch.allclose(shift[0], shift[1])
    out.sum().backward()
    assert layers[0].grad is None
    assert generator.rho.weight.grad.abs().sum() > 0
    with pytest.raises(DataError, match="2 expected"):
        generator(layers[:1])
    with pytest.raises(SettingError, match="context"):
        PromptGenerator(2, 3, 4, context)


def test_bad_input_is_refused():
    inputs = list(draw())
    with pytest.raises(DataError, match="one shape"):
        prompt_consistency(inputs[2])
    with pytest.raises(DataError, match="labels"):
        gopro(inputs[0], inputs[1] + 3, *inputs[2:])
    with pytest.raises(DataError, match="NaN"):
        prompt_consistency(inputs[2], inputs[3] * math.nan)
