import pytest
import torch

from counterpoint.encoders.group_whitening import ShuffledGroupWhitening, group_whitening
from counterpoint.errors import DataError, SettingError


def draw(n=40, d=12, seed=0):
    torch.manual_seed(seed)
    mixed = torch.randn(n, d, dtype=torch.float64) @ torch.randn(d, d, dtype=torch.float64)
    return (mixed + 3).requires_grad_()


def loop(x, groups, order):
    n, width = x.shape
    k, out = width // groups, torch.empty_like(x)
    for g in range(groups):
        place = order[g * k : (g + 1) * k]
        part = x[:, place] - x[:, place].mean(0)
        values, vectors = torch.linalg.eigh((part.T @ part / n).detach())
        out[:, place] = part @ vectors @ torch.diag(values**-0.5) @ vectors.T
    return out


@pytest.mark.parametrize("groups", [1, 3, 4, 12])
def test_equals_a_loop_over_groups(groups):
    x, order = draw(), torch.randperm(12)
    found, wanted = group_whitening(x, groups, order, eps=0), loop(x, groups, order)
    torch.testing.assert_close(found, wanted)
    probe = torch.randn_like(x)
    grads = [torch.autograd.grad((y * probe).sum(), x)[0] for y in (found, wanted)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("groups", [1, 3, 12])
def test_groups_are_white(groups):
    x, order = draw(), torch.randperm(12)
    y = group_whitening(x, groups, order, eps=0)[:, order].reshape(40, groups, -1)
    eye = torch.eye(y.shape[2], dtype=y.dtype)
    assert y.mean(0).abs().max() < 1e-10
    for g in range(groups):
        torch.testing.assert_close(y[:, g].T @ y[:, g] / 40, eye, rtol=0, atol=1e-8)


def test_permutation_matters_only_between_the_extremes():
    x, orders = draw(), [torch.randperm(12) for _ in range(2)]
    for groups, alike in ((1, True), (12, True), (4, False)):
        a, b = (group_whitening(x, groups, order, eps=0) for order in orders)
        assert torch.allclose(a, b) == alike
        assert torch.equal(a, group_whitening(x, groups, orders[0], eps=0))


def test_gradient_through_the_whitening_matrix():
    x = draw(8, 4)
    assert torch.autograd.gradcheck(
        lambda v: group_whitening(v, 2, eps=1e-3, through_whitening=True), [x]
    )
    a, b = (
        torch.autograd.grad(group_whitening(x, 2, through_whitening=t).pow(3).sum(), x)[0]
        for t in (False, True)
    )
    assert not torch.allclose(a, b)


def test_singular_covariance_needs_eps():
    x = draw(4, 12)
    with pytest.raises(DataError, match="rows cannot whiten"):
        group_whitening(x, 2, eps=0)
    constant = draw().detach()
    constant[:, 3] = 1
    with pytest.raises(DataError, match="singular"):
        group_whitening(constant, 4, eps=0)
    assert torch.isfinite(group_whitening(x, 2)).all()
    assert torch.isfinite(group_whitening(constant, 4)).all()


def test_half_precision_is_whitened_in_float32():
    x = draw().detach().to(torch.bfloat16)
    y = group_whitening(x, 4)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, group_whitening(x.float(), 4).to(torch.bfloat16))


def test_layer_draws_one_permutation_a_view():
    x = draw()
    layer = ShuffledGroupWhitening(4)
    generator = torch.Generator().manual_seed(0)
    one, two = layer(x, x, generator=generator)
    assert not torch.allclose(one, two)
    generator.manual_seed(0)
    again, _ = layer(x, x, generator=generator)
    assert torch.equal(one, again)
    same, plain = ShuffledGroupWhitening(4, shuffle=False)(x, x)
    assert torch.equal(same, plain)
    assert not layer.state_dict()
    order = torch.randperm(12)
    (replayed,) = layer(x, permutations=order[None])
    assert torch.equal(replayed, group_whitening(x, 4, order))


def test_bad_inputs_are_refused():
    x = draw()
    with pytest.raises(SettingError, match="divide"):
        group_whitening(x, 5)
    with pytest.raises(SettingError, match="eps"):
        group_whitening(x, 4, eps=-1)
    with pytest.raises(DataError, match="once each"):
        group_whitening(x, 4, torch.zeros(12, dtype=torch.long))
    with pytest.raises(DataError, match="NaN"):
        group_whitening(x.detach().fill_(torch.nan), 4)
