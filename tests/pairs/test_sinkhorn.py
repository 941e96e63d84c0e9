import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.sinkhorn import balanced_assignment, transport_plan


def test_assignment_is_balanced_and_prefers_large_scores():
    torch.manual_seed(0)
    scores = torch.randn(12, 3, dtype=torch.float64)
    plan = balanced_assignment(scores, 1.0, 200)
    torch.testing.assert_close(plan.sum(1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0), torch.full((3,), 4.0, dtype=torch.float64))
    away = balanced_assignment(-scores, 1.0, 200)
    assert (plan * scores).sum() > 0 > (away * scores).sum()


def test_tiny_epsilon_does_not_overflow():
    plan = balanced_assignment(torch.randn(8, 2), 1e-5)
    assert torch.isfinite(plan).all()
    torch.testing.assert_close(plan.sum(1), torch.ones(8))


def test_plan_has_uniform_marginals_and_prefers_small_costs():
    torch.manual_seed(0)
    cost = torch.rand(3, 9, dtype=torch.float64)
    plan = transport_plan(cost, 0.05, iterations=5000, threshold=1e-12)
    torch.testing.assert_close(plan.sum(1), torch.full((3,), 1 / 3).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(plan.sum(0), torch.full((9,), 1 / 9).double(), rtol=1e-6, atol=0)
    assert (plan * cost).sum() < cost.mean()


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="finite"):
        transport_plan(torch.full((2, 2), torch.nan))
    with pytest.raises(SettingError, match="epsilon"):
        balanced_assignment(torch.ones(2, 2), 0.0)
