"""Embeddings that cost nothing: the floors that a trained method has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.apps.model import Model
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.errors import require

Embed = Callable[[Sequence[Any]], NDArray[np.float32]]
"""Items to embeddings ``(N, D)``."""

WORD_DIMENSIONS = 128


def start(encoder: Encoder, data: Dataset) -> Embed:
    """The encoder as every method starts with it."""
    return Model(encoder).embed


def pixels(encoder: Encoder, data: Dataset) -> Embed:
    """The picture itself, one number in [0, 1] a pixel and channel."""

    def embed(items: Sequence[Any]) -> NDArray[np.float32]:
        return np.stack([_numbers(item) for item in items])

    return embed


def words(encoder: Encoder, data: Dataset) -> Embed:
    """Which words occur: TF-IDF learnt from the training texts, in its 128 main directions."""
    text = require("sklearn.feature_extraction.text", "probe")
    decomposition = require("sklearn.decomposition", "probe")
    vectoriser = text.TfidfVectorizer(sublinear_tf=True)
    counts = vectoriser.fit_transform(list(data.train.items))
    width = max(1, min(WORD_DIMENSIONS, *(side - 1 for side in counts.shape)))
    main = decomposition.TruncatedSVD(width, random_state=0).fit(counts)

    def embed(items: Sequence[Any]) -> NDArray[np.float32]:
        z: NDArray[np.float32] = main.transform(vectoriser.transform(list(items)))
        return z.astype(np.float32)

    return embed


FLOORS: dict[str, dict[str, Callable[[Encoder, Dataset], Embed]]] = {
    "images": {"untrained": start, "pixels": pixels},
    "text": {"pretrained": start, "words": words},
}
"""The floors of each modality, by the name of their row."""


def _numbers(item: Any) -> NDArray[np.float32]:
    values = np.asarray(item)
    whole = np.float32(255 if values.dtype == np.uint8 else 1)
    return (values.astype(np.float32) / whole).ravel()
