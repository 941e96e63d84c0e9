import torch

from counterpoint.views.noised import Noised
from counterpoint.views.randomness import sample_seeds

IMAGES = torch.randint(0, 256, (500, 1, 8, 8), dtype=torch.uint8)
SEEDS = sample_seeds(0, 0, torch.arange(500), 0)


def test_image_stays_plain_and_levels_and_noise_are_spread():
    images, meta = Noised(10).batch(IMAGES, SEEDS)
    assert torch.equal(images, IMAGES.float() / 255)
    assert set(meta["level"].tolist()) == set(range(10))
    assert meta["noise"].shape == IMAGES.shape
    assert abs(meta["noise"].mean()) < 0.02
    assert abs(meta["noise"].std() - 1) < 0.02


def test_level_and_noise_belong_to_the_sample():
    _, whole = Noised(1000).batch(IMAGES, SEEDS)
    _, part = Noised(1000).batch(IMAGES[7:9], SEEDS[7:9])
    assert torch.equal(part["level"], whole["level"][7:9])
    assert torch.equal(part["noise"], whole["noise"][7:9])
    image, meta = Noised(1000)(IMAGES[0])
    assert image.shape == (1, 8, 8)
    assert meta["level"].shape == ()
