"""Handwritten digits of the UCI optical recognition data set, shipped with scikit-learn."""

from __future__ import annotations

import torch

from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.items import ImageStack
from counterpoint.data.splits import described, stratified
from counterpoint.errors import require

NATIVE = 8


def load(size: int | None = None, seed: int = 0, test_share: float = 0.2) -> Dataset:
    """1,797 handwritten digits, one channel, white on black.

    Args:
        size: height and width; 8 as recorded unless given, enlarged smoothly otherwise.
        seed: seed of the split.
        test_share: part held out, drawn class by class.
    """
    bunch = require("sklearn.datasets", "probe").load_digits()
    grey = torch.from_numpy(bunch.images).float().mul(255 / 16)[:, None]
    side = size or NATIVE
    if side != NATIVE:
        grey = torch.nn.functional.interpolate(grey, size=(side, side), mode="bilinear")
    pixels = grey.round().to(torch.uint8)
    labels = torch.from_numpy(bunch.target).long()
    whole = Split(ImageStack(pixels), [f"digit {i}" for i in range(len(labels))], labels)
    train, test = stratified(labels, len(labels), test_share, seed)
    return Dataset(
        name="digits",
        modality="images",
        train=whole.take(train),
        test=whole.take(test),
        classes=tuple(str(name) for name in bunch.target_names),
        channels=1,
        size=side,
        held_out=described("digits", test_share, labels),
    )
