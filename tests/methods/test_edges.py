"""Bad input and edges that every image method must stand, without being told which there are."""

import math
from dataclasses import replace

import pytest
import torch

from counterpoint import encoders, methods
from counterpoint.apps.fit import fit
from counterpoint.data.dataset import Split
from counterpoint.data.items import ImageStack
from counterpoint.errors import DataError, SettingError
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import make_views

EVERY = pytest.mark.parametrize("name", methods.names("images"))
NEEDS_LABELS = [name for name in methods.names("images") if methods.find(name).needs_labels]
WITH_QUEUE = [
    name
    for name in methods.names("images")
    if "queue" in {argument.name for argument in methods.arguments(name)}
]
SAMPLES = 37
SMALL = {
    "adainf": {"generated": 5, "repeats": 1},
    "beclr": {"clusters": 4, "room": 6.0},
    "mlcd": {"clusters": 10, "positives": 2},
}
FEW = {"adainf": {"generated": 0, "repeats": 1}, "mlcd": {"clusters": 2, "positives": 1}}


@pytest.fixture
def learn(encoder_of, tiny, tmp_path):
    """Trains a fresh method for some steps of 16 samples; no number of it may be NaN."""

    def run(name, data, encoder=None, arguments=None, **settings):
        encoder = encoder or encoder_of("images")
        torch.manual_seed(1)
        arguments = {**tiny(name), **SMALL.get(name, {}), **(arguments or {})}
        method = methods.build(name, encoder, **arguments)
        chosen = TrainSettings.of(**{"steps": 3, "batch_size": 16, "lr": 1e-3, **settings})
        history = train(method, data, chosen, tmp_path)
        assert all(map(math.isfinite, history.loss))
        for key, value in method.state_dict().items():
            assert value.isfinite().all(), key
        return history

    return run


@pytest.fixture
def digits(data_of):
    """The first digits, or other images, with labels of one's own."""
    whole = data_of("images")

    def make(samples=SAMPLES, labels=None, pixels=None):
        rows = torch.arange(samples)
        pixels = whole.train.gather(rows) if pixels is None else pixels
        labels = whole.train.labels[rows] if labels is None else labels
        names = [str(i) for i in range(samples)]
        return replace(whole, size=pixels.shape[-1], train=Split(ImageStack(pixels), names, labels))

    return make


@EVERY
def test_a_batch_below_two_is_refused_before_any_work(name, digits, tiny, tmp_path):
    with pytest.raises(SettingError, match="batch_size"):
        fit(name, digits(), out=tmp_path / "a", batch_size=1, **tiny(name))
    assert not (tmp_path / "a").exists()


@EVERY
def test_a_single_sample_is_refused(name, digits, learn):
    with pytest.raises(DataError, match="at least 2 samples"):
        learn(name, digits(1), arguments=FEW.get(name))


@EVERY
def test_a_batch_of_one_gives_a_number_or_a_clear_error(name, digits, encoder_of, tiny):
    """Not in training, which leaves such a rest of an epoch out."""
    data = digits()
    arguments = {**tiny(name), **SMALL.get(name, {})}
    method = methods.build(name, encoder_of("images"), **arguments).eval()
    method.begin_epoch(0, data)
    batch = make_views(data.train, method.views(data), method.encoder, torch.arange(1))
    said = "at least 2"
    try:
        assert method(batch)["loss"].isfinite()
    except DataError as error:
        said = str(error)
    assert "at least 2" in said or "at least two" in said


@EVERY
@pytest.mark.parametrize("samples", [2, 33, SAMPLES], ids=["two", "rest of one", "rest of five"])
def test_samples_that_fill_no_batch(name, samples, digits, learn):
    """Two epochs, rest included; two samples are fewer than a batch, queue and memory."""
    history = learn(
        name, digits(samples), arguments=FEW.get(name), drop_last=False, steps=None, epochs=2
    )
    assert history.steps == {2: 2, 33: 4, SAMPLES: 6}[samples]


@EVERY
def test_gradient_caching_in_chunks_that_do_not_fit_under_bf16(name, digits, learn):
    learn(name, digits(), cached=5, drop_last=False, precision="bf16-mixed")


@EVERY
def test_equal_images(name, digits, learn):
    """Clusters die, foregrounds have no direction, similarities are all 1."""
    learn(name, digits(pixels=torch.full((SAMPLES, 1, 8, 8), 128, dtype=torch.uint8)))


@EVERY
@pytest.mark.parametrize("size", [1, 3])
def test_images_smaller_than_crop_and_network(name, size, digits, learn, tiny):
    pixels = torch.randint(256, (SAMPLES, 1, size, size), dtype=torch.uint8)
    encoder = encoders.build("conv-tiny", modality="images", channels=1, size=size)
    shape = f"(1, {size}, {size})" if tiny(name) else f"{size} pixels"
    said = shape
    try:
        learn(name, digits(pixels=pixels), encoder=encoder, steps=2)
    except SettingError as error:
        said = str(error)
    assert shape in said


@EVERY
def test_labels_that_are_missing_but_for_three(name, digits, learn):
    labels = torch.full((SAMPLES,), -1)
    labels[:3] = torch.tensor([0, 1, 0])
    learn(name, digits(labels=labels))


@pytest.mark.parametrize("name", NEEDS_LABELS)
@pytest.mark.parametrize(
    "labels",
    [torch.zeros(SAMPLES).long(), torch.arange(SAMPLES) % 2 * 99, torch.arange(SAMPLES)],
    ids=["one class", "classes without samples", "a class a sample"],
)
def test_odd_classes(name, labels, digits, learn):
    learn(name, digits(labels=labels))


@pytest.mark.parametrize("name", NEEDS_LABELS)
def test_data_without_labels_are_refused_before_any_work(name, digits, encoder_of, tmp_path):
    data = digits(labels=torch.full((SAMPLES,), -1))
    for labels in (data.train.labels, None):
        bare = replace(data, train=replace(data.train, labels=labels))
        method = methods.build(name, encoder_of("images"))
        with pytest.raises(DataError, match=f"{name} needs labels, and digits has none"):
            train(method, bare, TrainSettings.of(steps=1), tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", WITH_QUEUE)
@pytest.mark.parametrize("queue", [1, 20, 1000], ids=["one", "no multiple", "beyond the data"])
def test_queues_of_any_length(name, queue, digits, learn):
    """The longest holds every image several times after three epochs."""
    needed = {"mochi": {"hardest": 1}, "amcl": {"host": "moco"}, "genview": {"host": "moco"}}
    arguments = {"queue": queue, **needed.get(name, {})}
    learn(name, digits(), arguments=arguments, steps=7)


def test_chunks_of_one_say_what_to_do(digits, learn):
    with pytest.raises(SettingError, match="set cached to 2 or more"):
        learn("simclr", digits(), cached=1)


def test_a_network_of_larger_patches_than_the_images_is_refused():
    with pytest.raises(SettingError, match=r"8×8 pixels.*size="):
        encoders.build("vit_tiny_patch16_224", modality="images", channels=1, size=8)


def test_infinite_settings_are_refused(digits, tmp_path):
    for wrong in ({"temperature": math.inf}, {"lr": math.inf}, {"weight_decay": math.nan}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            fit("simclr", digits(), out=tmp_path / "a", **wrong)
    assert not (tmp_path / "a").exists()
