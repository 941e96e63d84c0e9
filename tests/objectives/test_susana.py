import math

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.icnn_score import icnn_score
from counterpoint.objectives.susana import ICNN, ProtoTriplet, icnn, proto_triplet


def draw(seed=0):
    torch.manual_seed(seed)
    queries, support = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (6, 9))
    return queries, torch.arange(6) % 3, support, torch.arange(9) % 3


def test_triplet_is_a_loop():
    q, y, s, t = draw()
    means = [s[t == w].mean(0) for w in range(3)]
    losses = []
    for i in range(6):
        d = [((q[i] - m).square().sum() + 1e-6).sqrt() for m in means]
        wrong = min(d[w] for w in range(3) if w != y[i])
        losses.append((d[y[i]] - wrong + 0.5).clamp(min=0))
    wanted = torch.stack(losses).mean()
    found = proto_triplet(q, y, s, t)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(ProtoTriplet()(q, y, s, t), found)
    for a, b in zip(*(torch.autograd.grad(x, [q, s]) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(lambda a, b: proto_triplet(a, y, b, t), [q, s])


def test_satisfied_margins_have_no_gradient():
    q, y, s, t = draw()
    far = 50 * torch.eye(3, 4, dtype=torch.float64)
    loss = proto_triplet(0.01 * q + far[y], y, 0.01 * s + far[t], t)
    assert loss == 0
    assert torch.autograd.grad(loss, q)[0].abs().max() == 0


def test_triplet_works_with_one_shot_and_scales_with_the_space():
    q, y, s, t = draw()
    assert torch.isfinite(proto_triplet(q, y, s[:3], t[:3]))
    assert proto_triplet(2 * q, y, 2 * s, t) != proto_triplet(q, y, s, t)


def test_icnn_is_minus_the_log_of_the_score():
    q, y, *_ = draw()
    torch.testing.assert_close(icnn(q, y, k=3), -icnn_score(q, y, k=3).log())
    torch.testing.assert_close(ICNN(k=3)(q, y), icnn(q, y, k=3))
    loss = icnn(q, torch.zeros(6, dtype=torch.long), k=3)
    assert loss == 0
    assert torch.autograd.grad(loss, q)[0].abs().max() == 0


def test_support_of_one_shot_does_not_attract():
    _, _, s, _ = draw()
    score = icnn_score(s, torch.arange(9))
    assert 0.5 < score * 2 < 1.0
    assert math.isfinite(icnn(s, torch.arange(9)).item())


def test_bad_inputs_are_refused():
    q, y, s, t = draw()
    with pytest.raises(SettingError, match="margin"):
        proto_triplet(q, y, s, t, margin=-1)
    with pytest.raises(DataError, match="one width"):
        proto_triplet(q[:, :2], y, s, t)
    with pytest.raises(DataError, match="row of support"):
        proto_triplet(q, y, s, 2 * t)
    with pytest.raises(DataError, match="labels must be in"):
        proto_triplet(q, y + 1, s, t)
    with pytest.raises(DataError, match="row 0"):
        proto_triplet(q / 0, y, s, t)
