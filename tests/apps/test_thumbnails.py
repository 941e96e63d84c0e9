from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch

from counterpoint.apps.thumbnails import thumbnail
from counterpoint.errors import DataError

image = pytest.importorskip("PIL.Image")


def decoded(uri: str) -> np.ndarray:
    return np.asarray(image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


def test_small_images_stay_exact() -> None:
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (1, 5, 7), dtype=np.uint8)
    colour = random.integers(0, 256, (3, 64, 9), dtype=np.uint8)
    assert (decoded(thumbnail(grey)) == grey[0]).all()
    assert (decoded(thumbnail(torch.from_numpy(colour))) == colour.transpose(1, 2, 0)).all()


def test_one_pixel() -> None:
    assert decoded(thumbnail(np.full((1, 1, 1), 7, np.uint8))).tolist() == [[7]]


def test_large_images_shrink_and_keep_their_shape() -> None:
    colour = np.full((3, 300, 150), 200, np.uint8)
    uri = thumbnail(colour)
    assert uri.startswith("data:image/jpeg;base64,")
    assert decoded(uri).shape == (64, 32, 3)
    assert abs(decoded(uri).astype(int) - 200).max() <= 3


@pytest.mark.parametrize(
    "bad", [np.zeros((1, 4, 4)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)]
)
def test_refuses_what_is_no_image(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8"):
        thumbnail(bad)
