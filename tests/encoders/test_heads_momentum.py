import math

import pytest
import torch
from torch import nn

from counterpoint.encoders.heads import projection
from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.errors import SettingError


def test_projection_shapes_and_layers():
    head = projection(16, 8, hidden=32, layers=3)
    assert [m.weight.shape for m in head if isinstance(m, nn.Linear)] == [
        (32, 16),
        (32, 32),
        (8, 32),
    ]
    assert head(torch.randn(4, 16)).shape == (4, 8)
    assert len(projection(16, 8, layers=1)) == 1
    assert not any(isinstance(m, nn.BatchNorm1d) for m in projection(16, 8, batch_norm=False))
    with pytest.raises(SettingError):
        projection(16, 8, layers=0)


def test_update_is_the_moving_average_and_takes_no_gradient():
    online = nn.Linear(2, 2)
    moving = MomentumCopy(online, momentum=0.9)
    before = online.weight.detach().clone()
    with torch.no_grad():
        online.weight += 1
    moving.update(online)
    assert torch.allclose(moving.network.weight, before + 0.1)
    assert not moving(torch.ones(1, 2)).requires_grad
    assert all(not p.requires_grad for p in moving.parameters())
    moving.synchronise(online)
    assert torch.equal(moving.network.weight, online.weight)


def test_cosine_schedule_rises_to_one():
    moving = MomentumCopy(nn.Linear(1, 1), momentum=0.99, schedule="cosine")
    assert moving.at(0) == pytest.approx(0.99)
    assert moving.at(0.5) == pytest.approx(0.995)
    assert moving.at(1) == 1
    assert moving.at(0.25) == pytest.approx(1 - 0.01 * (math.cos(math.pi / 4) + 1) / 2)


def test_copy_keeps_its_own_statistics():
    online = nn.BatchNorm1d(2)
    moving = MomentumCopy(online)
    moving(torch.full((4, 2), 5.0) + torch.randn(4, 2))
    assert moving.network.running_mean.mean() > 0.3
    assert online.running_mean.abs().sum() == 0


def test_wrong_settings():
    with pytest.raises(SettingError):
        MomentumCopy(nn.Linear(1, 1), momentum=1.5)
    with pytest.raises(SettingError):
        MomentumCopy(nn.Linear(1, 1), schedule="linear")
