"""The engine against dense formulas in float64, on random sizes, masks and temperatures."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.engine import Terms, row_losses, self_log_sums, softmax_rows, two_way_log_sums
from counterpoint.engine import rows as rows_module
from counterpoint.engine import tiles as tiles_module

TEMPERATURES = st.sampled_from([0.005, 0.01, 0.03, 0.1, 0.5, 1.0, 10.0])
SIZES = st.integers(1, 12)
TOLERANCES = {torch.float64: 1e-10, torch.float32: 2e-5}
sweep = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(tiles_module, "TILE", 4)
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 40)


def unit(seed, rows, dtype, width=3):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(x).to(dtype).requires_grad_()


def mask(seed, *shape, share=0.6):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < share


def log_sums(logits):
    """Log-sum-exp of rows, 0 where a row is empty."""
    kept = (logits > -torch.inf).any(1)
    return torch.where(kept, torch.where(kept[:, None], logits, 0.0).logsumexp(1), 0.0)


def agree(ours, dense, leaves, scale):
    """Values and gradients; the gradient of a scale of 1/t is as large as that of the loss."""
    torch.manual_seed(0)
    weights = torch.randn_like(ours.detach())
    dense_leaves = [x.detach().double().requires_grad_() for x in leaves]
    expected = dense(*dense_leaves)
    tolerance = TOLERANCES[leaves[0].dtype]
    size = max(1.0, expected.detach().abs().max().item(), float(scale))
    assert (ours.double() - expected).abs().max() <= tolerance * size
    grads = torch.autograd.grad((ours * weights).sum(), leaves)
    wanted = torch.autograd.grad((expected * weights.double()).sum(), dense_leaves)
    for grad, want in zip(grads, wanted, strict=True):
        assert (grad.double() - want).abs().max() <= 5 * tolerance * max(size, want.abs().max())


@sweep
@given(
    SIZES, SIZES, TEMPERATURES, st.sampled_from(list(TOLERANCES)), st.booleans(), st.integers(0, 99)
)
def test_self_similarity(half, width, temperature, dtype, masked, seed):
    n = 2 * half
    z = unit(seed, n, dtype, width)
    scale = torch.tensor(1 / temperature, dtype=dtype, requires_grad=True)
    allowed = mask(seed, n, n) if masked else torch.ones(n, n, dtype=torch.bool)
    allowed = allowed & allowed.T
    terms = Terms(excluded=(0, half, -half), valid=lambda i, j: allowed[i, j])
    position = torch.arange(n)
    apart = (position[:, None] - position) % half != 0

    def dense(z, scale):
        return log_sums((scale * z @ z.T).masked_fill(~(allowed & apart), -torch.inf))

    agree(self_log_sums(z, scale, terms), dense, [z, scale], 1 / temperature)


@sweep
@given(SIZES, SIZES, TEMPERATURES, st.sampled_from(list(TOLERANCES)), st.integers(0, 99))
def test_both_directions(n, m, temperature, dtype, seed):
    x, y = unit(seed, n, dtype), unit(seed + 1, m, dtype)
    scale = torch.tensor(1 / temperature, dtype=dtype, requires_grad=True)
    allowed = mask(seed, n, m)

    def dense(x, y, scale):
        logits = (scale * x @ y.T).masked_fill(~allowed, -torch.inf)
        return torch.cat([log_sums(logits), log_sums(logits.T)])

    ours = two_way_log_sums(x, y, scale, Terms(valid=lambda i, j: allowed[i, j]))
    agree(torch.cat(ours), dense, [x, y, scale], 1 / temperature)


@sweep
@given(
    SIZES,
    SIZES,
    TEMPERATURES,
    st.sampled_from(list(TOLERANCES)),
    st.booleans(),
    st.sampled_from(["mean_log", "log_sum", None]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_rows(n, m, temperature, dtype, decoupled, aggregate, per_row, finished, seed):
    a, c = unit(seed, n, dtype), unit(seed + 1, m, dtype)
    scale = torch.full((n,) if per_row else (), 1 / temperature, dtype=dtype, requires_grad=True)
    extra = 5 * unit(seed + 2, n, dtype, 2).detach()
    extra.requires_grad_()
    allowed, weight = mask(seed, n, m), 0.5 + mask(seed + 3, n, m).double()
    positive = mask(seed + 4, n, m, share=0.3) if aggregate else None
    terms = Terms(
        excluded=(1,),
        valid=lambda i, j: allowed[i, j],
        weight=lambda i, j: weight[i, j],
        logit=lambda s, i, j: s - 0.1 * (i == j),
        positive=None if positive is None else lambda i, j: positive[i, j],
        decoupled=decoupled,
        aggregate=aggregate or "mean_log",
    )
    row_weights = torch.rand(n, generator=torch.Generator().manual_seed(seed)).to(dtype)

    def dense(a, c, scale, extra):
        i, j = torch.arange(n)[:, None], torch.arange(m)[None]
        logits = scale.reshape(-1, 1) * (a @ c.T) - 0.1 * (i == j)
        kept = allowed & (j - i != 1)
        pos = kept & positive if positive is not None else None
        weighted = (logits + weight.log()).masked_fill(~kept, -torch.inf)
        negative = (
            weighted if pos is None or not decoupled else weighted.masked_fill(pos, -torch.inf)
        )
        total = log_sums(torch.cat([negative, extra], 1))
        if pos is None:
            values = total
        else:
            count = pos.sum(1)
            if aggregate == "mean_log":
                pull = torch.where(pos, logits, 0.0).sum(1) / count.clamp(min=1)
            else:
                pull = log_sums(weighted.masked_fill(~pos, -torch.inf))
            values = torch.where(count > 0, total - pull, 0.0)
        return (row_weights.double() * values).sum() if finished else values

    ours = softmax_rows(a, c, scale, terms, extra=extra, weights=row_weights if finished else None)
    agree(ours.values, dense, [a, c, scale, extra], 1 / temperature)
    if positive is not None:
        shifted = torch.arange(m) - torch.arange(n)[:, None] != 1
        assert torch.equal(ours.counted, (positive & allowed & shifted).any(1))


@pytest.mark.parametrize("finished", [True, False])
def test_log_totals_come_along(finished):
    a, c = unit(0, 7, torch.float64), unit(1, 9, torch.float64)
    weights = torch.ones(7, dtype=torch.float64) if finished else None
    found = softmax_rows(a, c, torch.tensor(3.0, dtype=torch.float64), Terms(), weights=weights)
    torch.testing.assert_close(found.log_total, (3 * a @ c.T).logsumexp(1).detach())
    assert not found.log_total.requires_grad


@pytest.mark.parametrize("finished", [True, False])
def test_row_function(finished):
    a, c = unit(0, 9, torch.float64), unit(1, 11, torch.float64)
    scale = torch.linspace(1, 3, 9, dtype=torch.float64).requires_grad_()
    margin = torch.rand(9, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(9, dtype=torch.float64) if finished else None

    def hinge(logits, i, j, margin):
        return (margin[:, None] + logits * (1 + (i + j) % 3)).relu().square().sum(1)

    def dense(a, c, scale, margin):
        i, j = torch.arange(9)[:, None], torch.arange(11)[None]
        values = hinge(scale[:, None] * (a @ c.T), i, j, margin)
        return (values * weights).sum() if finished else values

    ours = row_losses(hinge, a, c, scale, per_row=(margin,), weights=weights)
    agree(ours, dense, [a, c, scale, margin], 3)


@pytest.mark.parametrize("finished", [True, False])
def test_row_function_of_what_all_blocks_share(finished):
    a, c = unit(0, 19, torch.float64), unit(1, 11, torch.float64)
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    own, other = (torch.rand(n, 3, dtype=torch.float64, requires_grad=True) for n in (19, 11))
    factor = torch.rand(3, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(19, dtype=torch.float64) if finished else None

    def tangents(logits, i, j, own, other, factor):
        return (logits + (own[:, None] + other).tanh() @ factor).logsumexp(1)

    def dense(a, c, scale, own, other, factor):
        values = tangents(scale * (a @ c.T), None, None, own, other, factor)
        return (values * weights).sum() if finished else values

    ours = row_losses(
        tangents, a, c, scale, per_row=(own,), shared=(other, factor), width=4, weights=weights
    )
    agree(ours, dense, [a, c, scale, own, other, factor], 3)


def test_derivatives_numerically():
    a, c = unit(0, 6, torch.float64), unit(1, 6, torch.float64)
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    ones = torch.ones(6, dtype=torch.float64)
    terms = Terms(excluded=(0,))
    assert torch.autograd.gradcheck(lambda a, s: self_log_sums(a, s, terms), (a, scale))
    assert torch.autograd.gradcheck(lambda *x: two_way_log_sums(*x, terms), (a, c, scale))
    assert torch.autograd.gradcheck(lambda *x: softmax_rows(*x, terms).values, (a, c, scale))
    assert torch.autograd.gradcheck(
        lambda *x: softmax_rows(*x, terms, weights=ones).values, (a, c, scale)
    )


def every_door(a, c, scale):
    ones = torch.ones_like(a[:, 0])
    yield self_log_sums(a, scale, Terms(excluded=(0,))).sum()
    yield two_way_log_sums(a, c, scale, Terms())[0].sum()
    yield softmax_rows(a, c, scale, Terms()).values.sum()
    yield softmax_rows(a, c, scale, Terms(), weights=ones).values
    yield row_losses(lambda s, i, j: s.exp().sum(1), a, c, scale).sum()
    yield row_losses(lambda s, i, j: s.exp().sum(1), a, c, scale, weights=ones)


def test_double_backward_is_refused():
    a, c = unit(0, 6, torch.float64), unit(1, 6, torch.float64)
    for loss in every_door(a, c, torch.tensor(2.0, dtype=torch.float64)):
        with pytest.raises(NotImplementedError, match="cross_entropy"):
            torch.autograd.grad(loss, a, create_graph=True)


def test_backward_twice_and_twice_in_one_graph():
    a, c = unit(0, 6, torch.float64), unit(1, 6, torch.float64)
    scale = torch.tensor(2.0, dtype=torch.float64)
    both = zip(every_door(a, c, scale), every_door(a, c, scale), strict=True)
    for loss, again in both:
        (once,) = torch.autograd.grad(loss, a, retain_graph=True)
        (second,) = torch.autograd.grad(loss, a, retain_graph=True)
        (summed,) = torch.autograd.grad(loss + 2 * again, a)
        torch.testing.assert_close(second, once)
        torch.testing.assert_close(summed, 3 * once)


def test_gradient_of_one_input_alone_and_of_none():
    a, c = unit(0, 6, torch.float64), unit(1, 6, torch.float64)
    scale = torch.tensor(2.0, dtype=torch.float64)
    full = [torch.autograd.grad(loss, a)[0] for loss in every_door(a, c, scale)]
    alone = [torch.autograd.grad(loss, a)[0] for loss in every_door(a, c.detach(), scale)]
    torch.testing.assert_close(alone, full)
    with torch.no_grad():
        values = list(every_door(a, c, scale))
    assert not any(value.requires_grad for value in values)
    torch.testing.assert_close(values, [loss.detach() for loss in every_door(a, c, scale)])


def test_autocast_does_not_reach_inside():
    a, c = unit(0, 6, torch.float32), unit(1, 6, torch.float32)
    scale = torch.tensor(2.0)
    plain = list(every_door(a, c, scale))
    with torch.autocast("cpu", torch.bfloat16):
        inside = list(every_door(a, c, scale))
        grads = [torch.autograd.grad(loss, a)[0] for loss in inside]
    torch.testing.assert_close(inside, plain)
    torch.testing.assert_close(grads, [torch.autograd.grad(loss, a)[0] for loss in plain])
