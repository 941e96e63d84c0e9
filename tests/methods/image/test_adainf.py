"""AdaInf: what the inflated set holds, how strongly it is augmented."""

from dataclasses import replace

import pytest
import torch

from counterpoint import methods
from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.items import ImageStack
from counterpoint.errors import SettingError
from counterpoint.training import TrainSettings, train


@pytest.fixture
def build(encoder_of, generator):
    def make(**arguments):
        values = {"generator": generator, "generated": 40, "sampling": 4, **arguments}
        return methods.build("adainf", encoder_of("images"), **values)

    return make


@pytest.fixture
def data(data_of):
    return data_of("images")


def photographs(mirror=True):
    pixels = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8)
    split = Split(ImageStack(pixels), list("abcdefgh"))
    return Dataset("photos", "images", split, split, channels=3, size=8, mirror=mirror)


def test_real_images_repeat_and_generated_ones_follow_without_a_label(build, data):
    n = len(data.train)
    made = build(repeats=3).prepare(data)
    assert len(made.train) == 3 * n + 40
    assert made.test is data.test
    real = data.train.gather(torch.arange(n))
    rows = made.train.gather(torch.arange(len(made.train)))
    for copy in range(3):
        assert torch.equal(rows[copy * n : (copy + 1) * n], real)
    assert torch.equal(made.train.labels[-40:], torch.full((40,), -1))
    assert torch.equal(made.train.labels[n : 2 * n], data.train.labels)
    assert made.train.names[-1] == "generated 39"
    assert len(rows[-40:].flatten(1).unique(dim=0)) > 30


def test_without_generated_images_no_generator_is_needed(build, data):
    method = build(generator=None, generated=0, repeats=2)
    assert len(method.prepare(data).train) == 2 * len(data.train)
    assert type(method).trained_first({"generated": 0}) == {}
    with pytest.raises(SettingError, match="counterpoint fit diffusion"):
        build(generator=None).prepare(data)


def test_no_repeats_and_negative_numbers_are_refused(build):
    with pytest.raises(SettingError, match="repeats"):
        build(repeats=0)
    with pytest.raises(SettingError, match="generated"):
        build(generated=-1)


def test_unlabelled_data_stay_unlabelled(build, data):
    bare = replace(data, train=replace(data.train, labels=None))
    assert build().prepare(bare).train.labels is None


def test_steps_are_those_of_the_plain_run(build, data, tmp_path):
    settings = TrainSettings.of(steps=3, batch_size=32)
    assert train(build(repeats=5), data, settings, tmp_path).steps == 3


def test_recipes_of_photographs(build):
    weak, strong = (build(strength=s).views(photographs())[0] for s in ("weak", "strong"))
    assert (weak.scale, weak.jittered, weak.hue, weak.grey) == ((0.2, 1.0), 0.4, 0.1, 0.2)
    assert (strong.scale, strong.jittered, strong.hue) == ((0.08, 1.0), 0.8, 0.2)
    assert (weak.brightness, strong.brightness) == (0.4, 0.8)
    assert (weak.blurred, weak.mirror) == (0.5, 0.5)
    assert build().views(photographs(mirror=False))[0].mirror == 0


def test_characters_are_never_flipped_and_weak_is_weaker(build, data):
    weak, strong = (build(strength=s).views(data)[0] for s in ("weak", "strong"))
    assert weak.mirror == strong.mirror == 0
    assert weak.rotate < strong.rotate
    assert weak.scale[0] > strong.scale[0]
