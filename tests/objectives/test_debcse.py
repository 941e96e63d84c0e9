import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.debcse import DebCSE, debcse
from counterpoint.objectives.info_nce import info_nce


def draw():
    torch.manual_seed(0)
    return [torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (5, 5, 7)]


def test_is_a_loop():
    a, p, n = draw()
    mask = torch.rand(5, 12) > 0.4
    weights = torch.rand(5).double()
    u, pool = normalize(a, dim=1), normalize(torch.cat([p, n]), dim=1)
    losses = []
    for i in range(5):
        s = pool @ u[i] / 0.1
        kept = [j for j in range(12) if mask[i, j] or j == i]
        losses.append(weights[i] * (s[kept].logsumexp(0) - s[i]))
    wanted = torch.stack(losses).mean()
    call = {"negatives": n, "allowed": lambda i, j: mask[i, j], "weights": weights}
    found = debcse(a, p, temperature=0.1, **call)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(DebCSE(0.1)(a, p, **call), found)
    for x, y in zip(*(torch.autograd.grad(v, [a, p, n]) for v in (found, wanted)), strict=True):
        torch.testing.assert_close(x, y)
    assert torch.autograd.gradcheck(lambda *x: debcse(*x, 0.5), [a, p, n])


def test_identities():
    a, p, n = draw()
    torch.testing.assert_close(debcse(a, p), info_nce(a, p, 0.05))
    torch.testing.assert_close(debcse(a, p, n), info_nce(a, p, 0.05, negatives=n))
    alone = debcse(a, p, n, allowed=lambda i, j: torch.zeros(len(i), j.shape[1]).bool())
    assert alone.abs() < 1e-12


def test_bad_inputs_are_refused():
    a, p, n = draw()
    with pytest.raises(DataError, match="rows"):
        debcse(a, p[:2])
    with pytest.raises(DataError, match="weights"):
        debcse(a, p, weights=-torch.ones(5))
    with pytest.raises(SettingError, match="temperature"):
        debcse(a, p, n, 0)
