import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.conr import ConR, conr


def draw(n=10, seed=0, width=1):
    torch.manual_seed(seed)
    f = torch.randn(n, 4, dtype=torch.float64, requires_grad=True)
    y, p = (4 * torch.rand(n, width, dtype=torch.float64) for _ in range(2))
    return f, y, p, 0.5 + torch.rand(n, dtype=torch.float64)


def loop(f, y, p, v, t, w, e, linear, constant):
    z, n, losses = normalize(f, dim=1), len(f), []
    for j in range(n):
        gap = [(y[j] - y[k]).abs().mean() for k in range(n)]
        near = [(p[j] - p[k]).abs().mean() <= w for k in range(n)]
        pos = [k for k in range(n) if k != j and gap[k] <= w]
        neg = [k for k in range(n) if gap[k] > w and near[k]]
        if not pos or not neg:
            losses.append(0 * f.sum())
            continue
        c = z @ z[j] / t
        s = [v[j] * e * gap[k] if linear else v[j] * torch.exp(e * gap[k]) for k in range(n)]
        d = sum(c[k].exp() for k in pos) + sum(s[k] * c[k].exp() for k in neg)
        d = d + (n - len(pos) if constant else 0)
        total = sum(d.log() - c[k] for k in pos)
        losses.append(total / (len(pos) + 1) if linear else v[j] * total / len(pos))
    return torch.stack(losses)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("push", ["exponential", "linear"])
def test_equals_a_loop(push, constant, width):
    f, y, p, v = draw(12, 1, width)
    wanted = loop(f, y, p, v, 0.2, 0.9, 0.3, push == "linear", constant)
    assert 0 < (wanted != 0).sum() <= 12
    settings = {"window": 0.9, "sharpness": 0.3, "push": push, "row_constant": constant}
    each = conr(f, y, p, v, 0.2, reduction="none", **settings)
    torch.testing.assert_close(each, wanted)
    found = conr(f, y, p, v[:, None], 0.2, **settings)
    torch.testing.assert_close(found, wanted.mean())
    torch.testing.assert_close(ConR(0.2, **settings)(f, y, p, v), found)
    for a, b in zip(*(torch.autograd.grad(x, f) for x in (found, wanted.mean())), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(lambda x: conr(x, y, p, v, 0.5, **settings), [f])


def test_flat_and_column_targets_are_alike():
    f, y, p, _ = draw()
    torch.testing.assert_close(conr(f, y[:, 0], p[:, 0]), conr(f, y, p))


def test_without_confusion_nothing_happens():
    f, y, _, _ = draw()
    far = torch.arange(10.0) * 100
    for inputs, window in (((y, far), 1.0), ((y, y), 1.0), ((y, 0 * y), 5.0)):
        loss = conr(f, *inputs, window=window)
        assert loss == 0
        assert torch.autograd.grad(loss, f)[0].abs().max() == 0


def test_gradient_at_a_negative_and_doubled_push():
    f = torch.tensor([[1.0, 0], [0.8, 0.6], [0.6, -0.8]], dtype=torch.float64)
    y, p = torch.tensor([0.0, 0.0, 9.0]), torch.zeros(3)
    c = f[0] @ f.T
    s = math.exp(0.1 * 9)
    d = c[1].exp() + s * c[2].exp()
    settings = {"sharpness": 0.1, "row_constant": False, "reduction": "none"}
    values = conr(f, y, p, None, 1.0, **settings)
    torch.testing.assert_close(values[0], d.log() - c[1])
    assert values[2] == 0
    stronger = conr(f, y, p, torch.tensor([1.001, 1, 1]), 1.0, **settings)[0] / 1.001
    torch.testing.assert_close(
        (stronger - values[0]) / 0.001, s * c[2].exp() / d, rtol=1e-3, atol=1e-4
    )


def test_order_of_rows_and_ties():
    f, y, p, v = draw()
    order = torch.randperm(10)
    torch.testing.assert_close(conr(f[order], y[order], p[order], v[order]), conr(f, y, p, v))
    f = torch.randn(2, 3)
    assert conr(f, torch.tensor([0.0, 1.0]), torch.zeros(2)) == 0


def test_pitfalls():
    f, y, p, _ = draw()
    alone = conr(f, 10 * torch.arange(10.0), torch.zeros(10))
    assert alone == 0
    zero = torch.zeros(10, 4, requires_grad=True)
    loss = conr(zero, y, p)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, zero)[0]).all()
    assert torch.isfinite(conr(f.half(), y, p, None, 0.01))
    given = p.clone().requires_grad_()
    assert torch.autograd.grad(conr(f, y, given), given, allow_unused=True) == (None,)


def test_bad_inputs_are_refused():
    f, y, p, v = draw()
    with pytest.raises(DataError, match="targets"):
        conr(f, y[:3], p)
    with pytest.raises(DataError, match="predictions holds NaN"):
        conr(f, y, p / 0 * 0)
    with pytest.raises(DataError, match="above 0"):
        conr(f, y, p, 0 * v)
    with pytest.raises(SettingError, match="push"):
        conr(f, y, p, push="soft")
    with pytest.raises(SettingError, match="window"):
        conr(f, y, p, window=-1)
