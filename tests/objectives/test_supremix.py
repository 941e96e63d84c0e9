import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.supcon import supcon
from counterpoint.objectives.supremix import SupReMix, supremix, supremix_points
from counterpoint.pairs.label_mixing import label_mixtures

pytestmark = pytest.mark.filterwarnings("ignore:Some anchors have no positive")


def draw(b=5, v=2, seed=0):
    torch.manual_seed(seed)
    f = torch.randn(b, v, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([20.0, 22, 24, 24, 27, 21], dtype=torch.float64)[:b]
    return f, targets, label_mixtures(targets.repeat(v), 5.0, most_positives=None)


def loop(f, targets, table, tau, magnify, shift, detach=True, power=1):
    z = normalize(torch.cat([f[:, v] for v in range(f.shape[1])]), dim=1)
    t, losses = targets.repeat(f.shape[1]), []
    fixed = z.detach() if detach else z
    for i in range(len(z)):
        s = z @ z[i] / tau
        terms, pulls = [], []
        for j in range(len(z)):
            if j != i:
                terms.append(s[j] + (math.log(abs(t[i] - t[j]) ** power + 1) if magnify else 0))
                if t[j] == t[i]:
                    pulls.append(s[j])
        mixed = []
        for e in range(table.role.shape[1]):
            if table.role[i, e] >= 0:
                w = table.weight[i, e]
                u = w * fixed[table.first[i, e]] + (1 - w) * fixed[table.second[i, e]]
                mixed.append((e, z[i] @ u / tau))
        move = 0.0
        if shift:
            move = s.max().detach() - max(0.0, *(float(x.detach()) for _, x in mixed))
        for e, x in mixed:
            gap = abs(t[i] - table.targets[i, e])
            terms.append(x + move + (math.log(gap**power + 1) if magnify else 0))
            if table.role[i, e] == 1:
                pulls.append(x + move)
        if pulls:
            losses.append(torch.stack(terms).logsumexp(0) - torch.stack(pulls).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("shape", [(5, 2), (6, 1)])
@pytest.mark.parametrize(
    ("magnify", "shift", "detach"),
    [
        (True, False, True),
        (True, True, True),
        (False, False, True),
        (True, False, False),
    ],
)
def test_is_a_loop(shape, magnify, shift, detach):
    f, targets, table = draw(*shape)
    settings = {"magnify": magnify, "separate_max_shift": shift, "detach": detach}
    found = supremix(f, targets, table, 0.5, **settings)
    wanted = loop(f, targets, table, 0.5, magnify, shift, detach)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(SupReMix(0.5, **settings)(f, targets, table), found)
    for a, b in zip(*(torch.autograd.grad(x, f) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)


def test_squared_weights_are_a_loop():
    f, targets, table = draw()
    found = supremix(f, targets, table, power=2)
    torch.testing.assert_close(found, loop(f, targets, table, 0.5, True, False, power=2))
    assert torch.equal(SupReMix(power=2)(f, targets, table), found)
    with pytest.raises(SettingError, match="power"):
        supremix(f, targets, table, power=0)


def test_gradient_numerically_without_detaching():
    f, targets, table = draw()
    assert torch.autograd.gradcheck(lambda x: supremix(x, targets, table, detach=False), [f])


def test_points_equal_their_table():
    f, targets, table = draw()
    rows = normalize(f.transpose(0, 1).reshape(10, 4), dim=1).detach()
    w = table.weight[..., None]
    points = w * rows[table.first] + (1 - w) * rows[table.second]
    torch.testing.assert_close(
        supremix_points(f, targets, points, table.role, table.targets),
        supremix(f, targets, table),
    )


def test_without_mixtures_and_weights_it_is_supcon():
    f, targets, _ = draw()
    rows, labels = f.transpose(0, 1).reshape(10, 4), targets.repeat(2).long()
    torch.testing.assert_close(
        supremix(f, targets, magnify=False, temperature=0.3), supcon(rows, labels, 0.3)
    )


def test_one_target_and_no_positive():
    f, _, _ = draw()
    same = torch.full((5,), 3.0)
    table = label_mixtures(same.repeat(2), 5.0)
    assert (table.role == -1).all()
    assert supremix(f, same, table) >= math.log(9)
    alone = supremix(f[:, :1], torch.arange(5.0) * 100, None)
    assert alone == 0
    assert torch.autograd.grad(alone, f)[0].abs().max() == 0


def test_bad_inputs_are_refused():
    f, targets, table = draw()
    with pytest.raises(DataError, match="targets"):
        supremix(f, targets[:3])
    with pytest.raises(DataError, match="mixtures of"):
        supremix(f[:, :1], targets, table)
    with pytest.raises(DataError, match="points"):
        supremix_points(f, targets, torch.ones(3, 2, 4), table.role, table.targets)
    with pytest.raises(SettingError, match="temperature"):
        supremix(f, targets, table, 0)
