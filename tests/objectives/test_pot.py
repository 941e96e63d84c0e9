import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import normalize, softplus

from counterpoint.encoders.graph_convolution import TwoConvolutions, convolution_weights
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.graph_bounds import activation_lines, weight_bounds
from counterpoint.objectives.pot import POT, compactness, contrast_weights, pot

DOUBLE = {"dtype": torch.float64}


def undirected(n, p=0.5):
    upper = (torch.rand(n, n) < p).triu(1)
    return (upper | upper.T).nonzero().T


def draw(n=8, features=4, drop=0.4, activation="relu", seed=0):
    torch.manual_seed(seed)
    edges = undirected(n)
    encoder = TwoConvolutions(features, 6, 3, activation=activation).double()
    if activation == "prelu":
        encoder.activation.weight.data.fill_(0.1)
    x = torch.randn(n, features, **DOUBLE)
    return edges, encoder, x, weight_bounds(edges, n, drop, **DOUBLE)


def dropped(edges, n, rate):
    return convolution_weights(edges[:, torch.rand(edges.shape[1]) >= rate], n, **DOUBLE)


def admissible(edges, bounds):
    """Both directions of random edges are dropped while both ends have budget left."""
    left, kept = bounds.budget.clone(), edges.T.tolist()
    for i, j in edges[:, torch.randperm(edges.shape[1])].T.tolist():
        if i < j and left[i] > 0 and left[j] > 0 and torch.rand(()) < 0.8:
            left[[i, j]] -= 1
            kept.remove([i, j])
            kept.remove([j, i])
    return torch.tensor(kept, dtype=torch.int64).reshape(-1, 2).T


def act(v, a):
    return v if v >= 0 else a * v


def line(low, u, a):
    if low >= 0:
        return 1.0, 0.0
    if u <= 0:
        return a, 0.0
    return (u - a * low) / (u - low), (a - 1) * u * low / (u - a * low)


def slow(other, encoder, x, view, bounds, nodes):
    """The code form, entry by entry, on the rows and columns of the nodes."""
    a = encoder.slope
    w1, b1 = encoder.first.weight, encoder.first.bias
    w2, b2 = encoder.second.weight, encoder.second.bias
    unit = normalize(other[nodes], dim=1)
    upper, lower = (m.to_dense()[nodes][:, nodes] for m in (bounds.upper, bounds.lower))
    before = bounds.whole.to_dense() @ x @ w1.T + b1
    q1 = x[nodes] @ w1.T
    q2 = torch.where(before >= 0, before, a * before)[nodes] @ w2.T
    n, back, constant = len(nodes), [], []

    def lines(i, c, q, b):
        low = sum(torch.minimum(lower[i, j] * q[j, c], upper[i, j] * q[j, c]) for j in range(n))
        u = sum(torch.maximum(lower[i, j] * q[j, c], upper[i, j] * q[j, c]) for j in range(n))
        return line(low + b[c], u + b[c], a)

    def through(i, coefficients, q, weight, b):
        new, total = 0, 0
        for c, value in enumerate(coefficients):
            slope, above = lines(i, c, q, b)
            new = new + value * slope * weight[c]
            total = total + value * slope * (b[c] + (above if value < 0 else 0.0))
        return new, total

    scores = []
    for i in range(n):
        w = unit[i] - sum(unit[j] for j in range(n) if j != i) / (n - 1)
        middle, constant2 = through(i, w, q2, w2, b2)
        first, constant1 = through(i, middle, q1, w1, b1)
        back.append((first @ x[nodes[i]], constant1))
        constant.append(constant2)
    view = view.to_dense()[nodes][:, nodes]
    for i in range(n):
        score = constant[i]
        for j in range(n):
            inner = back[j][1] + sum(view[k, j] * back[k][0] for k in range(n))
            score = score + view[j, i] * inner
        scores.append(score)
    return torch.stack(scores)


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_code_mode_equals_a_loop_also_on_a_batch(activation):
    edges, encoder, x, bounds = draw(activation=activation)
    view, other = dropped(edges, 8, 0.4), torch.randn(8, 3, **DOUBLE)
    for nodes in (torch.arange(8), torch.tensor([5, 0, 3, 6])):
        found = compactness(other, encoder, x, view, bounds, nodes=nodes)
        torch.testing.assert_close(found, slow(other, encoder, x, view, bounds, nodes))
    torch.testing.assert_close(
        compactness(other, encoder, x, view, bounds),
        compactness(other, encoder, x, view, bounds, nodes=torch.arange(8)),
    )


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_exact_mode_is_never_above_the_contrast(activation):
    tight = 0
    for seed in range(25):
        edges, encoder, x, bounds = draw(activation=activation, seed=seed)
        other = torch.randn(8, 3, **DOUBLE)
        for _ in range(4):
            view = convolution_weights(admissible(edges, bounds), 8, **DOUBLE)
            contrast = (encoder(x, view) * contrast_weights(other)).sum(1)
            score = compactness(other, encoder, x, view, bounds, mode="exact")
            assert (score <= contrast + 1e-12).all()
            tight += int((contrast - score < 1).sum())
    assert tight > 0


def test_exact_mode_is_the_contrast_without_unstable_neurons():
    edges, encoder, x, bounds = draw()
    with torch.no_grad():
        encoder.first.bias.fill_(50)
        encoder.second.weight.abs_()
        encoder.second.bias.fill_(50)
    other = torch.randn(8, 3, **DOUBLE)
    view = convolution_weights(admissible(edges, bounds), 8, **DOUBLE)
    contrast = (encoder(x, view) * contrast_weights(other)).sum(1)
    torch.testing.assert_close(compactness(other, encoder, x, view, bounds, mode="exact"), contrast)
    nodes = torch.arange(8).flip(0)
    torch.testing.assert_close(
        compactness(other, encoder, x, view, bounds, mode="exact", nodes=nodes),
        contrast.flip(0),
    )


@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
def test_lines_bound_the_activation(slope):
    ends = torch.randn(50, 2, **DOUBLE).sort(1).values
    ends[0], ends[1], ends[2] = 0, torch.tensor([-1.0, 0]), torch.tensor([0, 1.0])
    lines = activation_lines(ends[:, 0], ends[:, 1], slope)
    for share in torch.linspace(0, 1, 9, **DOUBLE):
        x = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
        value = torch.where(x >= 0, x, slope * x)
        assert (lines.slope * x <= value + 1e-12).all()
        assert (lines.slope * (x + lines.above) >= value - 1e-12).all()
    assert (lines.slope[0], lines.above[0]) == (1, 0)


def test_budgets_and_bounds_of_weights():
    edges = torch.tensor([[0, 0, 0, 0, 0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0, 0, 0, 0, 0]])
    bounds = weight_bounds(edges, 7, 0.5, **DOUBLE)
    assert bounds.budget.tolist() == [2, 0, 0, 0, 0, 0, 0]
    upper, lower = bounds.upper.to_dense(), bounds.lower.to_dense()
    assert upper[0, 0].item() == pytest.approx(1 / 4)
    assert upper[0, 1].item() == pytest.approx(1 / math.sqrt(4 * 2))
    assert upper[1, 2] == 0
    assert upper[6, 6] == 1
    torch.testing.assert_close(lower, bounds.whole.to_dense().diagonal().diag())
    assert weight_bounds(edges, 7, 1.0).budget.tolist() == [4, 0, 0, 0, 0, 0, 0]


def test_the_convolution_aggregates_at_the_target():
    weights = convolution_weights(torch.tensor([[0, 1, 1], [2, 2, 1]]), 3, **DOUBLE).to_dense()
    root = 1 / math.sqrt(3)
    wanted = torch.tensor([[1, 0, 0], [0, 1, 0], [root, root, 1 / 3]], **DOUBLE)
    torch.testing.assert_close(weights, wanted)


def test_the_loss_and_its_derivatives():
    edges, encoder, x, bounds = draw()
    views = tuple(dropped(edges, 8, 0.3) for _ in range(2))
    x.requires_grad_()

    def loss(x, mode="code"):
        z1, z2 = (encoder(x, view) for view in views)
        return pot(z1, z2, encoder, x, views, (bounds, bounds), mode=mode)

    z1, z2 = (encoder(x, view) for view in views)
    wanted = [
        softplus(-compactness(other, encoder, x, view, bounds)).mean()
        for other, view in ((z2, views[0]), (z1, views[1]))
    ]
    torch.testing.assert_close(loss(x), sum(wanted) / 2)
    assert gradcheck(loss, x)
    assert gradcheck(lambda x: loss(x, "exact"), x)
    grads = torch.autograd.grad(loss(x), tuple(encoder.parameters()))
    assert all(g.abs().max() > 0 for g in grads)


def test_one_direction_dead_rows_and_a_single_node():
    edges, encoder, x, bounds = draw()
    view = convolution_weights(edges, 8, **DOUBLE)
    settings = (encoder, x, (view, view), (bounds, bounds))
    same = torch.ones(8, 3, **DOUBLE)
    assert pot(same, same, *settings).item() == pytest.approx(math.log(2))
    dead = torch.zeros(8, 3, **DOUBLE)
    dead[1:4] = torch.eye(3)
    assert torch.isfinite(pot(dead, dead, *settings))
    torch.testing.assert_close(contrast_weights(dead)[0], -torch.ones(3, **DOUBLE) / 7)
    assert pot(same, same, *settings, nodes=torch.tensor([2])) == 0


def test_module_and_bad_input():
    edges, encoder, x, bounds = draw()
    view, z = convolution_weights(edges, 8, **DOUBLE), torch.randn(8, 3, **DOUBLE)
    settings = (encoder, x, (view, view), (bounds, bounds))
    for mode in ("code", "exact"):
        assert torch.equal(POT(mode=mode)(z, z, *settings), pot(z, z, *settings, mode=mode))
    with pytest.raises(SettingError, match="mode"):
        compactness(z, encoder, x, view, bounds, mode="fast")
    with pytest.raises(SettingError, match="drop"):
        weight_bounds(edges, 8, 1.5)
    with pytest.raises(SettingError, match="slope"):
        activation_lines(z, z, 1.5)
    with pytest.raises(SettingError, match="activation"):
        TwoConvolutions(4, 6, 3, activation="elu")
    with pytest.raises(DataError, match="at least 2"):
        compactness(z, encoder, x, view, bounds, nodes=torch.tensor([0]))
    with pytest.raises(DataError, match="view must be sparse"):
        compactness(z, encoder, x, view.to_dense(), bounds)
    with pytest.raises(DataError, match="width 4"):
        compactness(z, encoder, x[:, :2], view, bounds)
    with pytest.raises(DataError, match="width 3"):
        compactness(z[:, :2], encoder, x, view, bounds)
    with pytest.raises(DataError, match="nodes 0"):
        convolution_weights(edges, 4)
