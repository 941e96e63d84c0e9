from dataclasses import replace

import pytest
import torch

from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.items import ImageStack
from counterpoint.errors import DataError, SettingError
from counterpoint.views import BatchView, augment, plain, sample_seeds


def dataset(channels=1, size=32, mirror=False, drawn=True):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, channels, size, size), generator=generator)
    if drawn:
        frame = torch.ones(size, size, dtype=torch.bool)
        frame[size // 4 : -size // 4, size // 4 : -size // 4] = False
        pixels[..., frame] = 0
    split = Split(ImageStack(pixels.to(torch.uint8)), [str(i) for i in range(40)])
    return Dataset("d", "images", split, split, channels=channels, size=size, mirror=mirror)


KINDS = {
    "characters": dataset(),
    "digits": dataset(size=8),
    "scans": dataset(drawn=False),
    "photographs": dataset(3, mirror=True),
    "large": dataset(3, size=64, mirror=True),
}
STRENGTHS = ["weak", "standard", "strong"]


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_views_are_float_images_in_range(kind, strength):
    data = KINDS[kind]
    raw = data.train.gather(range(40))
    view = augment(data, strength=strength)
    assert isinstance(view, BatchView)
    found = view.batch(raw, torch.arange(40))
    assert found.dtype == torch.float32
    assert found.shape == raw.shape
    assert torch.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found.flatten(1).std(1) > 0.01).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_depends_on_item_and_seed_alone(kind):
    data = KINDS[kind]
    raw, seeds = data.train.gather(range(40)), sample_seeds(0, 0, torch.arange(40), 0)
    view = augment(data)
    together = view.batch(raw, seeds)
    order = torch.randperm(40)
    assert torch.equal(view.batch(raw[order], seeds[order]), together[order])
    alone = torch.cat([view.batch(raw[i : i + 1], seeds[i : i + 1]) for i in range(40)])
    assert torch.allclose(alone, together, atol=1e-6)
    assert not torch.allclose(view.batch(raw, seeds + 1), together, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_view_comes_from_torchs_global_generator(kind):
    data = KINDS[kind]
    view, item = augment(data), data.train.items[0]
    torch.manual_seed(3)
    first, second = view(item), view(item)
    torch.manual_seed(3)
    assert torch.equal(view(item), first)
    assert first.shape == item.shape
    assert not torch.equal(first, second)


def test_the_recipe_follows_the_data():
    assert augment(KINDS["characters"]).gain > 1
    assert augment(KINDS["characters"]).on_background
    assert augment(KINDS["digits"]).noise > 0
    assert augment(KINDS["digits"]).gain == 1
    assert augment(KINDS["scans"]).gain == 1
    assert augment(KINDS["scans"]).scale[0] < 0.5
    assert augment(KINDS["photographs"]).blurred == 0
    assert augment(KINDS["large"]).blurred == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_mirrored_only_where_the_data_allow_it(kind):
    data = KINDS[kind]
    assert (augment(data).mirror > 0) == data.mirror
    assert augment(replace(data, mirror=not data.mirror)).mirror == (0.0 if data.mirror else 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_views_lie_further_from_the_image(kind):
    data = KINDS[kind]
    raw = data.train.gather(torch.arange(400) % 40)
    image = plain(data).batch(raw, torch.arange(400))
    weak, standard, strong = (
        float((augment(data, strength=s).batch(raw, torch.arange(400)) - image).pow(2).mean())
        for s in STRENGTHS
    )
    assert weak < standard < strong


def test_changes_by_name():
    view = augment(KINDS["photographs"], grey=0.0, scale=(0.5, 0.6))
    assert view.grey == 0.0
    assert view.scale == (0.5, 0.6)


def test_wrong_names_and_data():
    with pytest.raises(SettingError, match="standard"):
        augment(KINDS["digits"], strength="standart")
    with pytest.raises(SettingError, match="Did you mean rotate"):
        augment(KINDS["digits"], rotat=3.0)
    text = Dataset("t", "text", Split(["a"], ["a"]), Split(["a"], ["a"]))
    for make in (augment, plain):
        with pytest.raises(DataError, match="t holds text"):
            make(text)


def test_plain_is_the_image():
    data = KINDS["photographs"]
    raw = data.train.gather([0, 1])
    assert torch.equal(plain(data).batch(raw, torch.zeros(2)), raw.float() / 255)
    assert torch.equal(plain(data)(raw[0]), raw[0].float() / 255)
    assert plain(data)(raw[0]).dtype == torch.float32


def test_blur_with_no_picture_to_blur():
    view = augment(KINDS["large"], blurred=1e-9)
    assert view(KINDS["large"].train.items[0]).shape == (3, 64, 64)
