import math

import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.objectives.classdiffusion import (
    MaskedReconstruction,
    SemanticPreservation,
    masked_reconstruction,
    semantic_preservation,
)


def draw(n=3, h=5):
    torch.manual_seed(0)
    return [torch.randn(n, h, dtype=torch.float64).requires_grad_() for _ in range(2)]


def test_preservation_is_the_mean_cosine_distance():
    a, b = draw()
    wanted = [1 - (x @ y) / (x.norm() * y.norm()) for x, y in zip(a, b, strict=True)]
    torch.testing.assert_close(semantic_preservation(a, b), sum(wanted) / 3)
    assert torch.autograd.gradcheck(lambda x: semantic_preservation(x, b), a)
    assert torch.autograd.grad(semantic_preservation(a, b), b, allow_unused=True) == (None,)


def test_equal_phrases_have_no_loss_and_no_gradient():
    a, _ = draw()
    loss = semantic_preservation(a, a.detach())
    assert loss.abs() < 1e-14
    assert torch.autograd.grad(loss, a)[0].abs().max() < 1e-14
    assert semantic_preservation(a, -a).item() == pytest.approx(2)


def test_scale_is_free_and_the_gradient_orthogonal():
    a, b = draw()
    torch.testing.assert_close(semantic_preservation(7 * a, b), semantic_preservation(a, b))
    (grad,) = torch.autograd.grad(semantic_preservation(a, b), a)
    assert torch.linalg.vecdot(grad, a).abs().max() < 1e-14


def test_descent_drives_the_cosine_to_one():
    a, b = draw()
    x = a.detach().clone().requires_grad_()
    optimiser = torch.optim.SGD([x], lr=5.0)
    for _ in range(300):
        optimiser.zero_grad()
        semantic_preservation(x, b).backward()
        optimiser.step()
    assert semantic_preservation(x, b) < 1e-4


def test_zero_feature_gives_one():
    a = torch.zeros(1, 2, requires_grad=True)
    b = torch.tensor([[3.0, 4.0]])
    loss = semantic_preservation(a, b)
    assert loss == 1
    (grad,) = torch.autograd.grad(loss, a)
    assert grad.norm().item() == pytest.approx(1e8, rel=1e-5)


def test_reconstruction_counts_the_mask_once_for_all_channels():
    torch.manual_seed(0)
    x, y = torch.randn(2, 3, 4, 5, 5, dtype=torch.float64).unbind()
    mask = (torch.rand(3, 5, 5) > 0.3).double()
    total = 0.0
    for i in range(3):
        part = sum(
            mask[i, r, c] * (x[i, k, r, c] - y[i, k, r, c]) ** 2
            for k in range(4)
            for r in range(5)
            for c in range(5)
        )
        total = total + part / mask[i].sum() / 3
    torch.testing.assert_close(masked_reconstruction(x, y, mask), total)
    torch.testing.assert_close(masked_reconstruction(x, y, mask[:, None].bool()), total)
    whole = masked_reconstruction(x, y, torch.ones(3, 5, 5))
    torch.testing.assert_close(whole, 4 * (x - y).square().mean())


def test_a_sample_with_an_empty_mask_is_left_out():
    x, y = torch.randn(2, 2, 1, 3, 3).unbind()
    mask = torch.ones(2, 3, 3)
    mask[1] = 0
    hole = x.clone()
    hole[1] = float("nan")
    hole.requires_grad_()
    loss = masked_reconstruction(hole, y, mask)
    torch.testing.assert_close(loss, masked_reconstruction(x[:1], y[:1], mask[:1]))
    assert torch.isfinite(torch.autograd.grad(loss, hole)[0]).all()
    assert masked_reconstruction(x, y, 0 * mask) == 0


def test_modules_and_half_precision():
    a, b = draw()
    assert torch.equal(SemanticPreservation()(a, b), semantic_preservation(a, b))
    x, mask = torch.randn(2, 1, 2, 2), torch.ones(2, 2, 2)
    assert torch.equal(
        MaskedReconstruction()(x, x + 1, mask), masked_reconstruction(x, x + 1, mask)
    )
    half = a.detach().half(), b.detach().half()
    found = semantic_preservation(*half)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, semantic_preservation(half[0].float(), half[1].float()))


def test_bad_input_is_refused():
    a, b = draw()
    with pytest.raises(DataError, match="one shape"):
        semantic_preservation(a, b[:1])
    with pytest.raises(DataError, match="personal holds NaN"):
        semantic_preservation(a * math.nan, b)
    x = torch.ones(2, 1, 3, 3)
    with pytest.raises(DataError, match="mask must be"):
        masked_reconstruction(x, x, torch.ones(2, 2, 2))
    with pytest.raises(DataError, match="masked difference"):
        masked_reconstruction(x * math.inf, x, torch.ones(2, 3, 3))
