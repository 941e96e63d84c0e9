from __future__ import annotations

import numpy as np
import torch

from counterpoint import data as sources
from counterpoint import encoders
from counterpoint.apps.floors import FLOORS
from counterpoint.data.dataset import Dataset, Split
from counterpoint.views import plain


def test_pixels_are_the_picture_in_unit_range() -> None:
    data = sources.load("digits", limit=40)
    encoder = encoders.build("mlp", modality="images", channels=1, size=8)
    embed = FLOORS["images"]["pixels"](encoder, data)
    z = embed(data.test.items)
    assert z.shape == (len(data.test), 64)
    assert z.dtype == np.float32
    assert z.min() >= 0
    assert z.max() <= 1
    floats = plain(data).batch(data.test.gather(torch.arange(len(data.test))), torch.zeros(0))
    np.testing.assert_allclose(embed(floats), z, atol=1e-7)


def test_words_tell_topics_apart() -> None:
    fruit = [f"ripe apple and pear number {i}" for i in range(20)]
    sea = [f"salt wave under the ship number {i}" for i in range(20)]
    train = Split(items=fruit + sea, names=[str(i) for i in range(40)])
    data = Dataset(name="two", modality="text", train=train, test=train)
    unused = encoders.build("mlp", modality="images", channels=1, size=8)
    z = FLOORS["text"]["words"](unused, data)(["apple pear", "pear apple ripe", "wave ship"])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    assert z[0] @ z[1] > 0.5
    assert z[0] @ z[2] < 0.1
