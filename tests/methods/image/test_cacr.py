"""CACR: the sign of its weights, collapse, and what it cannot do without."""

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint import methods
from counterpoint.errors import DataError, SettingError


@pytest.fixture
def build(encoder_of):
    return lambda **arguments: methods.build("cacr", encoder_of("images"), **arguments)


def loss(method, *views):
    return method.contrast({f"z{i}": z for i, z in enumerate(views, 1)}, None)["loss"]


def test_far_positives_and_near_negatives_count_more_than_equal_weights(build):
    """Attraction grows with the weight of far positives, repulsion with that of near negatives."""
    torch.manual_seed(0)
    views = [normalize(torch.randn(8, 4), dim=1) for _ in range(4)]
    losses = {
        (positive, negative): float(
            loss(build(positives=3, t_positive=positive, t_negative=negative), *views)
        )
        for positive in (1e-6, 2.0)
        for negative in (1e-6, 2.0)
    }
    for other in (1e-6, 2.0):
        assert losses[2.0, other] > losses[1e-6, other]
        assert losses[other, 2.0] > losses[other, 1e-6]


def test_collapse_costs_more_than_aligned_and_spread_points(build):
    method, one = build(positives=1), torch.ones(8, 4, requires_grad=True)
    collapsed = loss(method, one, one)
    collapsed.backward()
    assert collapsed == 0
    assert one.grad.isfinite().all()
    spread = torch.cat([torch.eye(4), -torch.eye(4)])
    found = float(loss(method, spread, spread))
    assert -4 <= found < -1


def test_debiasing_that_leaves_nothing_is_refused_and_near_it_is_finite(build):
    with pytest.raises(SettingError, match="tau_plus"):
        build(tau_plus=1.0)
    views = [torch.randn(6, 4) for _ in range(5)]
    assert loss(build(tau_plus=0.999), *views).isfinite()


def test_one_sample_has_no_negatives_and_one_view_no_positives(build):
    with pytest.raises(DataError, match="at least 2"):
        loss(build(positives=1), torch.randn(1, 4), torch.randn(1, 4))
    with pytest.raises(SettingError, match="positives"):
        build(positives=0)
