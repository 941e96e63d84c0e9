import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.propensity import (
    effective_size,
    inverse_propensity_weights,
    propensity,
    surface_similarity,
)


def test_surface():
    assert surface_similarity({1, 2}, {1, 2}, (2, 2)) == 1
    assert surface_similarity(set(), set(), (0, 0)) == 0
    assert surface_similarity({1, 2}, {2, 3}, (2, 4)) == 0.5


def test_histogram_counts_by_hand():
    candidates = torch.tensor([0.01, 0.02, 0.5, 0.99, 1.0])
    rule = torch.tensor([0.99, 1.0])
    asked = torch.tensor([0.0, 0.5, 1.0, 0.7])
    wanted = torch.tensor([1 / 22, 1 / 21, 3 / 22, 1 / 20])
    torch.testing.assert_close(propensity(asked, rule, candidates), wanted)
    assert (propensity(asked, rule, candidates, lowest=0.1) >= 0.1).all()
    with pytest.raises(DataError, match="surface"):
        propensity(asked + 1, rule, candidates)
    with pytest.raises(SettingError, match="bins"):
        propensity(asked, rule, candidates, bins=0)


def test_weights_by_hand_and_their_limits():
    b = torch.tensor([[0.9, 0.8, 0.5], [0.1, 0.2, 0.3]])
    pi = torch.tensor([[0.9, 0.2, 0.1], [0.5, 0.5, 0.5]])
    eligible = torch.tensor([[True, True, False], [False, False, False]])
    w = inverse_propensity_weights(b, pi, eligible, clip=1.0)
    torch.testing.assert_close(w[0], torch.tensor([1.0, 4.0, 0.0]) / 5)
    assert (w[1] == 0).all()
    even = inverse_propensity_weights(b, pi, eligible, alpha=0.0, kappa=0.0)
    torch.testing.assert_close(even[0], torch.tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(effective_size(even), torch.tensor([2.0, 0.0]))
    with pytest.raises(DataError, match="above 0"):
        inverse_propensity_weights(b, 0 * pi, eligible)
    with pytest.raises(SettingError, match="alpha"):
        inverse_propensity_weights(b, pi, eligible, alpha=2.0)


def test_pairs_of_the_rule_weighted_by_its_inverse_have_the_surface_of_the_candidates():
    torch.manual_seed(0)
    candidates = torch.rand(40000).double()
    rule = candidates[torch.rand(40000) < candidates]
    weights = 1 / propensity(rule, rule, candidates)
    mean = (weights * rule).sum() / weights.sum()
    assert rule.mean() > 0.6
    assert mean.item() == pytest.approx(0.5, abs=0.02)


def test_clipping_bounds_the_largest_weight():
    torch.manual_seed(0)
    b, pi = torch.ones(1, 200), torch.full((1, 200), 0.5)
    pi[0, 0] = 1e-6
    w = inverse_propensity_weights(b, pi, torch.ones(1, 200).bool(), clip=0.99)
    torch.testing.assert_close(w, torch.full((1, 200), 1 / 200))
