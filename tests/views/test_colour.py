import colorsys

import pytest
import torch

from counterpoint.views.colour import LUMA, jitter
from counterpoint.views.randomness import uniform

OFF = {
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
    "jittered": 1.0,
    "grey": 0.0,
}


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(16, 3, 5, 5) * 0.4 + 0.3


def high(**settings):
    """The largest change of each kind."""
    unit = torch.ones(16, 6)
    unit[:, 4] = 0
    return {"unit": unit, **OFF, **settings}


def luma(images):
    return (images * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def test_nothing_to_do(images):
    assert torch.allclose(jitter(images, uniform(torch.arange(16), 0, 6), **OFF), images, atol=1e-6)


def test_brightness_multiplies(images):
    assert torch.allclose(jitter(images, **high(brightness=0.2)), images * 1.2, atol=1e-6)


def test_contrast_is_around_the_mean_grey(images):
    mean = luma(images).mean((2, 3), keepdim=True)
    expected = mean + 1.3 * (images - mean)
    assert torch.allclose(jitter(images, **high(contrast=0.3)), expected, atol=1e-5)


def test_contrast_comes_after_brightness(images):
    bright = 1.2 * images
    mean = luma(bright).mean((2, 3), keepdim=True)
    expected = (mean + 1.3 * (bright - mean)).clamp(0, 1)
    found = jitter(images, **high(brightness=0.2, contrast=0.3))
    assert torch.allclose(found, expected, atol=1e-5)


def test_saturation_is_around_each_pixels_grey(images):
    expected = luma(images) + 1.5 * (images - luma(images))
    assert torch.allclose(jitter(images, **high(saturation=0.5)), expected.clamp(0, 1), atol=1e-5)


def test_hue_keeps_luma_and_greys_and_turns_colours():
    colour = torch.tensor([0.6, 0.4, 0.4])[None, :, None, None].expand(16, -1, 2, 2)
    turned = jitter(colour, **high(hue=0.1))
    assert torch.allclose(luma(turned), luma(colour), atol=1e-4)
    hue = colorsys.rgb_to_hsv(*turned[0, :, 0, 0].tolist())[0]
    assert min(hue, 1 - hue) > 0.04
    grey = torch.full((16, 3, 2, 2), 0.3)
    assert torch.allclose(jitter(grey, **high(hue=0.1)), grey, atol=1e-4)


def test_half_a_turn_of_hue_twice_is_none(images):
    once = jitter(images, **high(hue=0.5))
    inside = ((once > 0) & (once < 1)).all(1, keepdim=True)
    twice = jitter(once, **high(hue=0.5))
    assert inside.any()
    assert torch.allclose((twice - images) * inside, torch.zeros(()), atol=1e-4)


def test_grey(images):
    unit = torch.full((16, 6), 0.5)
    found = jitter(images, unit, **{**OFF, "jittered": 0.0, "grey": 1.0})
    assert torch.allclose(found, luma(images).expand_as(images), atol=1e-5)


def test_probabilities():
    images = torch.rand(2000, 3, 2, 2)
    unit = uniform(torch.arange(2000), 0, 6)
    settings = {**OFF, "brightness": 0.4, "jittered": 0.8}
    changed = (jitter(images, unit, **settings) - images).abs().amax((1, 2, 3)) > 1e-4
    assert abs(float(changed.float().mean()) - 0.8) < 0.04
    settings = {**OFF, "jittered": 0.0, "grey": 0.2}
    found = jitter(images, unit, **settings)
    grey = (found[:, 0] - found[:, 1]).abs().amax((1, 2)) < 1e-5
    assert abs(float(grey.float().mean()) - 0.2) < 0.04


def test_one_channel_has_brightness_and_contrast_only(images):
    one = images[:, :1]
    mean = one.mean((2, 3), keepdim=True)
    found = jitter(one, **high(contrast=0.3, saturation=0.5, hue=0.2, grey=0.5))
    assert torch.allclose(found, mean + 1.3 * (one - mean), atol=1e-5)


def test_values_stay_in_range():
    images = torch.rand(64, 3, 4, 4)
    found = jitter(
        images,
        uniform(torch.arange(64), 0, 6),
        **{**OFF, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.5},
    )
    assert found.min() >= 0
    assert found.max() <= 1
