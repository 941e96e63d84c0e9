import pytest
import torch

from counterpoint.data import photos
from counterpoint.errors import DataError

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def data():
    return photos.load()


def test_patches_of_every_photograph_on_both_sides(data):
    assert (data.channels, data.size, data.mirror) == (3, 32, True)
    assert len(data.classes) >= 8
    for split in (data.train, data.test):
        assert set(split.labels.tolist()) == set(range(len(data.classes)))
    assert 0.15 < len(data.test) / (len(data.train) + len(data.test)) < 0.25


def test_held_out_patches_lie_in_other_columns(data):
    def columns(split):
        return {(n.split(",")[0], n.rsplit(" ", 1)[1]) for n in split.names}

    assert not columns(data.train) & columns(data.test)


def test_flat_patches_are_left_out(data):
    pixels = data.train.gather(torch.arange(len(data.train))).float()
    assert (pixels.mean(1).flatten(1).std(1) >= photos.FLAT).all()


def test_other_size_and_seed(data):
    other = photos.load(size=48, seed=1)
    assert other.train.items[0].shape == (3, 48, 48)
    assert set(other.test.names) != set(data.test.names)


def test_nothing_installed(monkeypatch):
    monkeypatch.setattr(photos, "package_folder", lambda name: None)
    with pytest.raises(DataError, match="pip install"):
        photos.load()
