import pytest
import torch

from counterpoint.errors import SettingError
from counterpoint.views import Augment, Plain
from counterpoint.views.pretext import Scrambled, Turned
from counterpoint.views.randomness import sample_seeds

IMAGES = torch.arange(2 * 9, dtype=torch.uint8).view(2, 1, 3, 3) * 14
SEEDS = sample_seeds(0, 0, torch.arange(2), 0)


def test_turns_are_clockwise_quarters_and_the_label():
    for turn in range(4):
        made, meta = Turned(Plain(), turn).batch(IMAGES, SEEDS)
        assert meta["turn"].tolist() == [turn, turn]
        assert torch.equal(made, IMAGES.float().rot90(-turn, (2, 3)) / 255)
    assert Turned(Plain(), 1).batch(IMAGES, SEEDS)[0][0, 0, 0, 2] == IMAGES[0, 0, 0, 0] / 255
    with pytest.raises(SettingError, match="0 to 3"):
        Turned(Plain(), 4)


def test_the_random_view_follows_the_turn():
    darker = Augment(brightness=0.4, jittered=1.0, mirror=1.0)
    made, _ = Turned(darker, 1).batch(IMAGES, SEEDS)
    assert torch.equal(made, darker.batch(IMAGES.rot90(-1, (2, 3)), SEEDS))


def test_each_image_draws_its_permutation_from_its_seed():
    images, seeds = IMAGES[:1].expand(500, -1, -1, -1), sample_seeds(0, 0, torch.arange(500), 2)
    made, meta = Scrambled(5).batch(images, seeds)
    drawn = meta["permutation"]
    assert torch.equal(made, images.float() / 255)
    assert drawn.bincount(minlength=5).min() > 60
    assert drawn.max() == 4
    assert torch.equal(Scrambled(5).batch(images[7:9], seeds[7:9])[1]["permutation"], drawn[7:9])


@pytest.mark.parametrize(("view", "label"), [(Turned(Plain(), 2), "turn"), (Scrambled(3), None)])
def test_one_image_at_a_time(view, label):
    image, meta = view(IMAGES[0])
    assert image.shape == (1, 3, 3)
    assert meta[label or "permutation"].shape == ()
