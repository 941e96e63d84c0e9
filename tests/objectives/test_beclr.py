import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.beclr import BECLR, beclr, collapse_monitor


def draw(n=4, d=5):
    torch.manual_seed(0)
    return [torch.randn(2 * n, d, dtype=torch.float64, requires_grad=True) for _ in range(3)]


@pytest.mark.parametrize("spread", ["SS", "ST", "TT"])
def test_equals_a_loop(spread):
    p, t, s = draw()
    n, unit = 4, [normalize(x, dim=1) for x in (p, t.detach(), s)]
    near = sum(unit[0][i] @ unit[1][(i + n) % (2 * n)] for i in range(2 * n)) / (2 * n)
    views = {"S": unit[2], "T": unit[1]}
    u = torch.cat([views[spread[0]][:n], views[spread[1]][n:]])
    means = []
    for a in range(2 * n):
        others = [b for b in range(2 * n) if b % n != a % n]
        means.append(sum((u[a] @ u[b] / 1.5).exp() for b in others) / (2 * n - 2))
    wanted = -near + 0.3 * torch.stack(means).mean().log()
    settings = {"temperature": 1.5, "uniformity": 0.3, "spread": spread}
    found = beclr(p, t, s, **settings)
    torch.testing.assert_close(found, wanted)
    leaves = (p, s) if spread != "TT" else (p,)
    torch.testing.assert_close(
        torch.autograd.grad(found, leaves, retain_graph=True), torch.autograd.grad(wanted, leaves)
    )
    assert torch.autograd.grad(found, t, allow_unused=True) == (None,)
    assert torch.autograd.gradcheck(lambda a, b: beclr(a, t, b, **settings), (p, s))


def test_equal_points_and_the_monitor():
    z = torch.ones(6, 3, dtype=torch.float64)
    assert beclr(z, z, z, temperature=2.0).item() == pytest.approx(-1 + 0.1 * 0.5)
    assert collapse_monitor(z) == 0
    assert collapse_monitor(torch.randn(6, 3)) > 0.1


def test_module_and_bad_input():
    p, t, s = draw()
    assert torch.equal(BECLR(spread="ST")(p, t, s), beclr(p, t, s, spread="ST"))
    with pytest.raises(DataError, match="at least 2 samples"):
        beclr(p[:2], t[:2], s[:2])
    with pytest.raises(SettingError, match="spread"):
        beclr(p, t, s, spread="TS")
    with pytest.raises(SettingError, match="temperature"):
        beclr(p, t, s, temperature=0.0)
