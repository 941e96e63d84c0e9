import pytest
import torch

from counterpoint.data import digits

pytest.importorskip("sklearn")


def test_digits_as_recorded():
    data = digits.load()
    assert (data.channels, data.size, data.mirror) == (1, 8, False)
    assert len(data.train) + len(data.test) == 1797
    assert data.classes == tuple("0123456789")
    pixels = data.train.gather(torch.arange(len(data.train)))
    assert pixels.shape[1:] == (1, 8, 8)
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)


def test_the_split_follows_the_seed():
    first, again, other = (digits.load(seed=seed).test.names for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_larger_size_is_enlarged():
    assert digits.load(size=20).train.items[0].shape == (1, 20, 20)
