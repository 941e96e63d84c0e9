import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.icnn_score import icnn_original, icnn_score, nearest


def draw(n=12, d=3, classes=3, seed=0):
    torch.manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, requires_grad=True), torch.arange(n) % classes


def loop(x, y, k=4, ipc=None, among=None, labels=None):
    among, labels = (x, y) if among is None else (among, labels)
    m = len(among)
    few = k + 2 >= m
    k = m - 2 if few else k
    ipc = k + 1 if ipc is None else ipc
    near, far, share, top, firsts = [], [], [], 0.0, []
    for i in range(len(x)):
        d = ((x[i] - among).square().sum(1) + 1e-6).sqrt()
        order = d.argsort()[1 : ipc + 1]
        others = [d[j] for j in order if labels[j] != y[i]]
        u = min(others) if others else torch.tensor(torch.inf)
        first = order[:k]
        firsts.append((i, d, first))
        r = torch.stack([d[j] / (u + 1e-7) for j in first])
        r = r / r.max().clamp(min=1)
        same = [place for place, j in enumerate(first) if labels[j] == y[i]]
        share.append(len(same) / k)
        if same:
            near.append(r[same].sum() / (len(same) + 1e-7))
        for j in first:
            if labels[j] != y[i]:
                top = max(top, d[j].item())
    for i, d, first in firsts:
        e = [d[j] / (top + 1e-7) for j in first if labels[j] != y[i]]
        if e:
            far.append(sum(e) / (len(e) + 1e-7))
    lam_same = 1 - (sum(near) / (len(near) + 1e-7) if near else 0)
    lam_other = sum(far) / (len(far) + 1e-7) if far else 1.0
    gamma = 1.0 if few else sum(share) / len(share)
    return ((lam_same + lam_other) / 2 + gamma) / 2


@pytest.mark.parametrize("n", [5, 6, 9, 14])
@pytest.mark.parametrize("ipc", [None, 3])
def test_score_is_a_loop(n, ipc):
    x, y = draw(n)
    assert icnn_score(x, y, neighbours=ipc).item() == pytest.approx(loop(x, y, 4, ipc).item())
    z, labels = draw(9, seed=1)
    found = icnn_score(x, y, z, labels, k=3)
    assert found.item() == pytest.approx(loop(x, y, 3, None, z, labels).item())


def test_gradient_numerically():
    x, y = draw(8)
    assert torch.autograd.gradcheck(lambda v: icnn_score(v, y, k=3, variance=True), [x])
    assert torch.autograd.gradcheck(lambda v: icnn_original(v, y, variance=True), [x])


def test_shifts_rotations_and_scale():
    x, y = draw()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    torch.testing.assert_close(icnn_score(x @ turn + 7, y), icnn_score(x, y))
    torch.testing.assert_close(icnn_score(100 * x, y), icnn_score(x, y), rtol=1e-5, atol=0)


@pytest.mark.parametrize("neighbours", [None, 9])
def test_separated_classes(neighbours):
    x, y = draw(18)
    x = (0.01 * x + 1e3 * torch.nn.functional.one_hot(y, 3)).detach().requires_grad_()
    score = icnn_score(x, y, neighbours=neighbours)
    if neighbours is None:
        assert score == 1
        assert torch.autograd.grad(score, x)[0].abs().max() == 0
    else:
        assert 0.99 < score < 1


def test_one_class_and_few_points():
    x, _ = draw(9)
    assert icnn_score(x, torch.zeros(9, dtype=torch.long)) == 1
    with pytest.raises(DataError, match="at least 3"):
        icnn_score(x[:2], torch.zeros(2, dtype=torch.long))
    with pytest.raises(SettingError, match="neighbours"):
        icnn_score(x, torch.zeros(9, dtype=torch.long), neighbours=9)
    with pytest.raises(DataError, match="labels"):
        icnn_score(x, torch.zeros(9, dtype=torch.long), x)


def test_first_neighbour_of_other_points_may_be_kept():
    x, y = draw(6)
    z, labels = draw(9, seed=1)
    kept = icnn_score(x, y, z, labels, k=3, drop_first=False)
    assert kept != icnn_score(x, y, z, labels, k=3)


def test_duplicates_do_no_harm():
    x, y = draw()
    score = icnn_score(torch.cat([x, x]), torch.cat([y, y]))
    assert torch.isfinite(torch.autograd.grad(score, x)[0]).all()


def test_original_is_a_loop():
    x, y = draw()
    level, share = [], []
    for i in range(12):
        d = ((x[i] - x).square().sum(1) + 1e-6).sqrt()
        order = d.argsort()[1:6]
        n = (d[order] - d[order].min()) / (d[order].max() - d[order].min() + 1e-6)
        same = y[order] == y[i]
        level.append((same * (1 - n) + ~same * n).sum())
        share.append((same.sum() / 5).sqrt())
    level = torch.stack(level)
    wanted = ((level / (level.max() + 1e-6)).sqrt().mean() + torch.stack(share).mean()) / 2
    torch.testing.assert_close(icnn_original(x, y), wanted)
    with pytest.raises(SettingError, match="roots"):
        icnn_original(x, y, p=0)


def test_nearest_in_blocks():
    x, _ = draw(30)
    wanted = torch.cdist(x, x).argsort(1)[:, :4]
    assert torch.equal(nearest(x.detach(), x.detach(), 4), wanted)
