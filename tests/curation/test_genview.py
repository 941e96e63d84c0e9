import pytest
import torch

from counterpoint.curation.genview import (
    foreground_direction,
    foreground_ratio,
    foreground_threshold,
    noise_levels,
    pair_quality,
    quality_weights,
    soft_maps,
)
from counterpoint.errors import DataError, SettingError


def grids(pairs=200, seed=0):
    """Objects in the middle rows of 4x4 grids; 30 % of the pairs show another object."""
    torch.manual_seed(seed)
    axis = torch.zeros(8, dtype=torch.float64)
    axis[0] = 3
    objects, other = torch.randn(2, pairs, 8, dtype=torch.float64)
    grounds = torch.randn(3, pairs, 8, dtype=torch.float64)
    false = torch.arange(pairs) % 10 < 3

    def view(thing, ground):
        tokens = ground[:, None].repeat(1, 16, 1)
        tokens[:, 4:12] = thing[:, None] + axis
        return tokens + 0.1 * torch.randn_like(tokens)

    one = view(objects, grounds[0])
    two = view(
        torch.where(false[:, None], other, objects),
        torch.where(false[:, None], grounds[0], grounds[1]),
    )
    return one, two, axis / 3, false


def test_true_pairs_weigh_more_than_false_ones():
    one, two, axis, false = grids()
    weights = quality_weights(pair_quality(one, two, axis))
    assert weights[~false].mean() > 1.5 * weights[false].mean()
    wrong = quality_weights(pair_quality(one, two, -axis))
    assert wrong[~false].mean() < wrong[false].mean()
    assert not weights.requires_grad


def test_identities_of_the_weights():
    one, two, axis, _ = grids(20)
    quality = pair_quality(one, two, axis)
    weights = quality_weights(quality, 3.0)
    assert weights.mean().item() == pytest.approx(1)
    torch.testing.assert_close(quality_weights(quality + 5, 3.0), weights)
    torch.testing.assert_close(quality_weights(quality, 0.0), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(pair_quality(two, one, axis), quality)
    assert quality_weights(quality[:1]).item() == 1


def test_a_constant_map_stays_finite():
    tokens = torch.ones(2, 9, 4)
    maps = soft_maps(tokens, torch.ones(4))
    assert (maps.foreground_feature == 0).all()
    assert torch.isfinite(pair_quality(tokens, tokens, torch.ones(4))).all()


def test_the_centre_fixes_the_sign():
    one, _, axis, _ = grids()
    tokens = one.flatten(0, 1)
    centre = torch.zeros(200, 16, dtype=torch.bool)
    centre[:, 4:12] = True
    found = foreground_direction(tokens, centre=centre.flatten())
    assert found.norm().item() == pytest.approx(1)
    assert (found @ axis) > 0.8
    torch.testing.assert_close(foreground_direction(tokens, centre=~centre.flatten()), -found)


def test_noise_rises_with_the_share_of_foreground():
    scores = torch.arange(100.0).view(10, 10)
    threshold = foreground_threshold(scores)
    assert (scores > threshold).float().mean().item() == pytest.approx(0.4, abs=0.011)
    ratios = foreground_ratio(scores, threshold)
    assert ratios[0] == 0
    assert ratios[-1] == 1
    assert noise_levels(torch.tensor([0.0, 0.2, 0.21, 1.0])).tolist() == [0, 0, 100, 400]


def test_bad_input_is_refused():
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        noise_levels(torch.tensor([1.2]))
    with pytest.raises(DataError, match="direction"):
        soft_maps(torch.ones(2, 9, 4), torch.ones(3))
    with pytest.raises(SettingError, match="gamma"):
        quality_weights(torch.ones(2), -1.0)
    with pytest.raises(SettingError, match="share"):
        foreground_threshold(torch.ones(4), 1.0)
