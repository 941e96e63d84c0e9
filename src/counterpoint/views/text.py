"""Random views of texts, word by word; words are what whitespace separates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from counterpoint.errors import SettingError
from counterpoint.views.randomness import fresh_seeds, uniform


class TextView:
    """Base of text views: one text with one seed makes one view.

    A call draws its seed from torch's global generator.
    """

    def __call__(self, item: str) -> str:
        return self.batch([item], fresh_seeds(1))[0]

    def batch(self, items: Sequence[str], seeds: Tensor) -> list[str]:
        """Views of B texts, with seeds int64 ``(B,)``."""
        return [
            " ".join(self.change(item.split(), seeds[i : i + 1])) for i, item in enumerate(items)
        ]

    def change(self, words: list[str], seed: Tensor) -> list[str]:
        """The view's words; ``seed`` is int64 ``(1,)``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Same(TextView):
    """The text itself: dropout in the encoder makes the views differ.

    Source: Gao et al., SimCSE, section 3.
    """

    def batch(self, items: Sequence[str], seeds: Tensor) -> list[str]:
        return list(items)


@dataclass(frozen=True)
class Delete(TextView):
    """Leaves out each word with probability ``share``; one word always stays.

    Raises:
        SettingError: ``share`` is outside [0, 1].
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        _check_share(self.share)

    def change(self, words: list[str], seed: Tensor) -> list[str]:
        if not words:
            return words
        draws = uniform(seed, 0, len(words))[0]
        kept = [w for w, u in zip(words, draws.tolist(), strict=True) if u >= self.share]
        return kept or [words[int(draws.argmax())]]


@dataclass(frozen=True)
class Crop(TextView):
    """Keeps a run of words: a share of the text drawn from ``share``, anywhere in it.

    Source: Izacard et al., Unsupervised Dense Information Retrieval with Contrastive Learning
        (Contriever), section 3.1.

    Raises:
        SettingError: ``share`` is not a range within [0, 1].
    """

    share: tuple[float, float] = (0.3, 0.9)

    def __post_init__(self) -> None:
        for end in self.share:
            _check_share(end)
        if self.share[0] > self.share[1]:
            raise SettingError(f"share must be (low, high); got {self.share}.")

    def change(self, words: list[str], seed: Tensor) -> list[str]:
        low, high = self.share
        length, place = uniform(seed, 0, 2)[0].tolist()
        kept = max(1, math.ceil(len(words) * (low + (high - low) * length)))
        start = int(place * (max(len(words) - kept, 0) + 1))
        return words[start : start + kept]


@dataclass(frozen=True)
class Repeat(TextView):
    """Says some words twice: k of the N words, k even between 0 and ``max(2, share * N)``.

    Source: Wu et al., ESimCSE, section 3.1 (there on sub-words).

    Raises:
        SettingError: ``share`` is outside [0, 1].
    """

    share: float = 0.32

    def __post_init__(self) -> None:
        _check_share(self.share)

    def change(self, words: list[str], seed: Tensor) -> list[str]:
        most = min(max(2, int(self.share * len(words))), len(words))
        count = int(uniform(seed, 0, 1).item() * (most + 1))
        chosen = set(uniform(seed, 1, len(words))[0].argsort()[:count].tolist())
        return [w for i, word in enumerate(words) for w in [word] * (1 + (i in chosen))]


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise SettingError(f"share must be between 0 and 1; got {share}.")
