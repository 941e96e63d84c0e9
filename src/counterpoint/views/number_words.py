"""Captions that say another number than the one that is true."""

from __future__ import annotations

import re

import torch

from counterpoint.errors import DataError

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

_NUMBER = re.compile(rf"\b({'|'.join(NUMBERS)})\b", re.IGNORECASE)


def number_in(caption: str) -> int | None:
    """The number a caption says, 2 to 10; None unless it says exactly one, as a whole word.

    A caption with digits or with several number words is not used.

    Source: Paiss et al., "Teaching CLIP to Count to Ten", ICCV 2023, arXiv 2302.12066.
    """
    words = _NUMBER.findall(caption)
    if len(words) != 1 or re.search(r"\d", caption):
        return None
    return NUMBERS.index(words[0].lower()) + 2


def counterfactuals(caption: str) -> list[str]:
    """The caption with each of the 8 other numbers, smallest first.

    Args:
        caption: says one number, see `number_in`.

    Raises:
        DataError: it does not.

    Source: Paiss et al., "Teaching CLIP to Count to Ten", ICCV 2023, arXiv 2302.12066.
    """
    number = number_in(caption)
    if number is None:
        raise DataError(f"{caption!r} does not say exactly one number from two to ten in words.")
    return [said(caption, other) for other in range(2, 11) if other != number]


def said(caption: str, number: int) -> str:
    """The caption with its number words replaced by that of ``number``, 2 to 10.

    Raises:
        DataError: there is no word for the number.
    """
    if not 2 <= number <= 10:
        raise DataError(f"There are words for 2 to 10, not for {number}.")
    word = NUMBERS[number - 2]
    return _NUMBER.sub(lambda found: word.capitalize() if found[0][0].isupper() else word, caption)


def counterfactual(caption: str, *, generator: torch.Generator | None = None) -> str:
    """The caption with another number, drawn evenly from the 8 wrong ones; a new draw each call.

    Args:
        caption: says one number, see `number_in`.
        generator: of the draw.

    Raises:
        DataError: it says no number, or several.

    Source: Paiss et al., "Teaching CLIP to Count to Ten", ICCV 2023, arXiv 2302.12066.
    """
    wrong = counterfactuals(caption)
    return wrong[int(torch.randint(len(wrong), (1,), generator=generator))]
