import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.star import STAR, star, star_validation
from counterpoint.objectives.supcon import supcon

pytestmark = pytest.mark.filterwarnings("ignore:Some anchors have no positive")


def draw(b=4, v=2, d=5, seed=0):
    torch.manual_seed(seed)
    return torch.randn(b, v, d, dtype=torch.float64, requires_grad=True)


def loop(f, labels, scale, floor, released):
    rows = torch.cat([f[:, v] for v in range(f.shape[1])])
    y = labels.repeat(f.shape[1])
    z = normalize(rows, dim=1)
    c = normalize(rows, dim=0) if released else z
    losses = []
    for i in range(len(rows)):
        s = scale * c @ z[i]
        top = s.max().detach()
        total = sum(torch.exp(s[j] - top) for j in range(len(rows)) if j != i) + floor
        friends = [j for j in range(len(rows)) if j != i and y[j] == y[i]]
        if friends:
            losses.append(top + total.log() - s[friends].mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("shape", [(4, 2), (5, 3), (6, 1)])
@pytest.mark.parametrize("kind", ["paper", "floor", "released"])
def test_equals_a_loop(shape, kind):
    f, labels = draw(*shape), torch.tensor([0, 1, 0, 2, 2, 3])[: shape[0]]
    if kind == "released":
        found = star(f, labels, variant="released")
        wanted = loop(f, labels, 100.0, 1e-12, True)
    else:
        floor = 1e-5 if kind == "floor" else 0.0
        found = star(f, labels, 0.1, floor=floor)
        wanted = loop(f, labels, 10.0, floor, False)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(torch.autograd.grad(found, f), torch.autograd.grad(wanted, f), strict=True):
        torch.testing.assert_close(a, b)


def test_paper_form_is_supcon_and_a_mean_of_single_positives():
    f, labels = draw(), torch.tensor([0, 1, 0, 2])
    rows, y = f.transpose(0, 1).reshape(8, 5), labels.repeat(2)
    torch.testing.assert_close(star(f, labels), supcon(rows, y, 0.07))
    torch.testing.assert_close(star(rows, y), star(f, labels))
    torch.testing.assert_close(STAR(0.2)(f, labels), supcon(rows, y, 0.2))
    z = normalize(rows, dim=1)
    s = (z @ z.T / 0.07).fill_diagonal_(-torch.inf)
    single = [
        sum(s[i].logsumexp(0) - s[i, p] for p in range(8) if p != i and y[p] == y[i])
        / sum(p != i and int(y[p]) == int(y[i]) for p in range(8))
        for i in range(8)
    ]
    torch.testing.assert_close(star(f, labels), torch.stack(single).mean())


def test_floor_stops_the_repulsion():
    n = 6
    rows, labels = torch.eye(n, dtype=torch.float64), torch.zeros(n, dtype=torch.long)
    wanted = 100 + math.log(1e-12)
    assert wanted == pytest.approx(72.37, abs=0.005)
    assert star(rows, labels, 0.01, floor=1e-12).item() == pytest.approx(wanted)
    assert star(rows, labels, 0.01).item() == pytest.approx(math.log(n - 1))


def test_released_temperature_learns_nothing_below_its_bound():
    f, labels = draw(), torch.tensor([0, 1, 0, 2])
    t = torch.tensor(0.07, dtype=torch.float64, requires_grad=True)
    loss = star(f, labels, t, variant="released")
    assert torch.autograd.grad(loss, t)[0] == 0
    torch.testing.assert_close(loss, star(f, labels, 3.0, variant="released"))
    learnt = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(star(f, labels, learnt, floor=1e-6), learnt)[0] != 0


def test_pitfalls():
    f = draw(3, 1)
    loss = star(f, torch.arange(3))
    assert loss == 0
    assert torch.autograd.grad(loss, f)[0].abs().max() == 0
    zero = torch.zeros(2, 2, 3, requires_grad=True)
    for variant in ("paper", "released"):
        assert torch.isfinite(star(zero, torch.arange(2), variant=variant))
    same = torch.ones(2, 2, 3)
    assert star(same, torch.tensor([5, 5])).item() == pytest.approx(math.log(3), abs=1e-5)


def test_validation_helper_is_dense():
    torch.manual_seed(1)
    a, b = (torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    loss, accuracy = star_validation(a, b, t)
    s = t.exp() * normalize(a, dim=1) @ normalize(b, dim=0).T
    at = torch.arange(6)
    wanted = (
        torch.nn.functional.cross_entropy(s, at) + torch.nn.functional.cross_entropy(s.T, at)
    ) / 2
    torch.testing.assert_close(loss, wanted)
    grads = [torch.autograd.grad(x, [a, b, t]) for x in (loss, wanted)]
    for x, y in zip(*grads, strict=True):
        torch.testing.assert_close(x, y)
    assert accuracy == torch.cat([s.argmax(1) == at, s.argmax(0) == at]).double().mean()
    assert accuracy != (s.argmax(1) == at).double().mean()


def test_bad_inputs_are_refused():
    f, labels = draw(), torch.tensor([0, 1, 0, 2])
    with pytest.raises(SettingError, match="variant"):
        star(f, labels, variant="code")
    with pytest.raises(SettingError, match="floor"):
        star(f, labels, floor=-1)
    with pytest.raises(SettingError, match="across_ranks"):
        star(f, labels, variant="released", across_ranks=True)
    with pytest.raises(DataError, match="features"):
        star(f[None], labels)
    with pytest.raises(DataError, match="labels"):
        star(f, labels[:2])
