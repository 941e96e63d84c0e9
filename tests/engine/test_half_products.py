"""Products for embeddings that come in bfloat16."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.engine import similarity
from counterpoint.objectives import functional as F


def plain(x, y, temperature):
    logits = normalize(x, dim=1) @ normalize(y, dim=1).T / temperature
    return cross_entropy(logits, torch.arange(len(x)))


def errors(function, x, y, temperature):
    """Of the value, and of the gradient over the length of the right one."""
    results = []
    for step, dtype in ((function, x.dtype), (plain, torch.float64)):
        leaves = [z.detach().to(dtype).requires_grad_() for z in (x, y)]
        loss = step(*leaves, temperature)
        results.append((loss.double(), torch.cat(torch.autograd.grad(loss, leaves)).double()))
    (loss, grad), (right, right_grad) = results
    return abs(loss - right).item(), ((grad - right_grad).norm() / right_grad.norm()).item()


@pytest.mark.parametrize("noise", [0.2, 1.0, 100.0])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_no_worse_than_the_plain_formula(noise, temperature, monkeypatch):
    monkeypatch.setattr(similarity, "MANY_PAIRS", 1)
    torch.manual_seed(0)
    x = torch.randn(128, 32)
    x, y = (z.bfloat16() for z in (x, x + noise * torch.randn(128, 32)))
    ours, theirs = errors(F.info_nce, x, y, temperature), errors(plain, x, y, temperature)
    assert ours[0] <= theirs[0] + 1e-6
    assert ours[1] <= theirs[1]


def test_only_embeddings_of_bfloat16_and_many_pairs(monkeypatch):
    monkeypatch.setattr(similarity, "_has_half_products", lambda: True)
    many, few = torch.randn(1024, 2), torch.randn(1023, 2)
    assert not similarity.wants_half(many, many)
    with similarity.half_inputs():
        assert similarity.wants_half(many, many)
        assert not similarity.wants_half(many, few)
        assert not similarity.wants_half(many.double(), many.double())
    assert not similarity.wants_half(many, many)


@pytest.mark.skipif(not similarity._has_half_products(), reason="no products of bfloat16")
def test_the_switch_is_put_back():
    matmul, x = torch.backends.mkldnn.matmul, torch.randn(2, 2)
    before = matmul.fp32_precision
    with similarity.products(x, True):
        assert matmul.fp32_precision == "bf16"
        with similarity.products(x, True):
            pass
        assert matmul.fp32_precision == "bf16"
    assert matmul.fp32_precision == before
