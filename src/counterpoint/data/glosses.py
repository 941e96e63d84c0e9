"""Definitions of nouns in WordNet, by topic, out of Debian's package ``wordnet-base``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from counterpoint.data.dataset import Dataset
from counterpoint.data.splits import thin
from counterpoint.data.texts import Row, text_dataset
from counterpoint.errors import DataError

FOLDERS = ("/usr/share/wordnet", "/usr/local/share/wordnet", "/usr/local/WordNet-3.0/dict")
FILE = "data.noun"
COUNT = 12_000
TOPICS = {
    4: "act",
    5: "animal",
    6: "artifact",
    7: "attribute",
    8: "body",
    9: "cognition",
    10: "communication",
    11: "event",
    12: "feeling",
    13: "food",
    14: "group",
    15: "location",
    17: "object",
    18: "person",
    19: "phenomenon",
    20: "plant",
    21: "possession",
    22: "process",
    23: "quantity",
    24: "relation",
    25: "shape",
    26: "state",
    27: "substance",
    28: "time",
}
"""Lexicographer files of nouns; the two with fewer than 100 definitions are left out."""


def load(size: int | None = None, seed: int = 0, test_share: float = 0.2) -> Dataset:
    """12,000 definitions of nouns; class: the topic whose lexicographer wrote them.

    Usage examples are cut off; of equal definitions the first counts. The topics keep their
    shares of the whole.

    Args:
        size: not used.
        seed: seed of the split; the definitions are the same for every seed.
        test_share: part held out, drawn class by class.

    Raises:
        DataError: WordNet is not installed, or is damaged.
    """
    every = list({row.text: row for row in _definitions(_file())}.values())
    codes = torch.tensor([list(TOPICS.values()).index(row.label) for row in every])
    rows = [every[i] for i in thin(codes, len(every), COUNT).tolist()]
    return text_dataset("glosses", rows, label="topic", seed=seed, test_share=test_share)


def _file() -> Path:
    own = os.environ.get("WNSEARCHDIR")
    for folder in (own, *FOLDERS) if own else FOLDERS:
        file = Path(folder) / FILE
        if file.is_file():
            return file
    raise DataError(
        f"glosses reads WordNet's {FILE}, found in none of {', '.join(FOLDERS)}. Install it with: "
        "apt-get install wordnet-base; or name its folder in the variable WNSEARCHDIR."
    )


def _definitions(file: Path) -> Iterator[Row]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith(" "):
            continue
        head, bar, gloss = line.partition("|")
        fields = head.split()
        if not bar or len(fields) < 5:
            raise DataError(f"{file}, line {number}: not a line of WordNet. Install it anew.")
        topic = TOPICS.get(int(fields[1]))
        definition = gloss.split('; "')[0].strip()
        if topic is not None and definition:
            yield Row(f"{fields[4].replace('_', ' ')} ({fields[0]})", definition, topic)
