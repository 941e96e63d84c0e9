"""A view of a token sequence in which some tokens are said twice."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError

Variant = Literal["released", "paper"]
CAP = 10


def repetitions(length: int, rate: float, variant: Variant = "released") -> int:
    """Largest number of repeated tokens that may be drawn for a sequence (inclusive).

    ``"released"``: ``min(10, int(rate length)) - 1``; ``"paper"``: ``max(2, int(rate length))``, at
    most the inner tokens. Never below 0.

    Args:
        length: tokens, begin and end tokens included.
        rate: in [0, 1).
        variant: which form.

    Raises:
        SettingError: rate or variant out of range.
    """
    if not 0 <= rate < 1:
        raise SettingError(f"rate must be in [0, 1), got {rate}.")
    if variant not in get_args(Variant):
        raise SettingError(f"variant must be 'released' or 'paper', got {variant!r}.")
    if variant == "released":
        return max(min(CAP, int(rate * length)) - 1, 0)
    return min(max(2, int(rate * length)), max(length - 2, 0))


def repeat_tokens(
    tokens: Tensor,
    rate: float = 0.32,
    *,
    variant: Variant = "released",
    places: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Writes k distinct inner tokens twice in a row, k even on {0 .. `repetitions`}.

    The first and the last token are never doubled. Use it for the second view only, after
    truncation: the sequence grows by up to 9 tokens, which the table of positions must allow; all
    tokens are attended to. With the rate at 0, or so few tokens that ``int(rate n) = 0``, the
    released form returns the sequence as it is.

    Args:
        tokens: ids with begin and end token, int64 ``(n,)``.
        rate: in [0, 1); 0.32 for BERT, 0.30 for RoBERTa.
        variant: ``"released"``, the form the published runs used, or ``"paper"``, see
            `repetitions`.
        places: positions to double, distinct, in 1 .. n - 2; drawn if None.
        generator: of the draw.

    Returns:
        int64 ``(n + k,)``.

    Raises:
        DataError: tokens or places that do not fit.
        SettingError: rate or variant out of range.

    Source: Wu et al., "ESimCSE", COLING 2022, arXiv 2109.04380, Section 3.1.
    """
    if tokens.dim() != 1:
        raise DataError(f"tokens must be (n,), got {tuple(tokens.shape)}.")
    most = repetitions(len(tokens), rate, variant)
    if places is None:
        count = int(torch.randint(most + 1, (1,), generator=generator))
        places = 1 + torch.randperm(max(len(tokens) - 2, 0), generator=generator)[:count]
    return _doubled(tokens, places)


def _doubled(tokens: Tensor, places: Tensor) -> Tensor:
    places = places.long()
    inner = (places >= 1) & (places <= len(tokens) - 2)
    if not bool(inner.all()) or len(torch.unique(places)) != len(places):
        raise DataError("places must be distinct inner positions, 1 .. n - 2.")
    times = torch.ones_like(tokens, dtype=torch.int64)
    times[places] = 2
    return tokens.repeat_interleave(times)


def repeat_words(text: str, rate: float = 0.32, *, generator: torch.Generator | None = None) -> str:
    """The form on words: k of the w words between whitespace twice, the last word never.

    k is even on ``{0 .. min(10, w, max(2, int(rate w))) - 1}``, positions are distinct in
    ``{0 .. w - 2}``. Sub-words (`repeat_tokens`) did better in the paper.

    Args:
        text: any; without words it comes back as it is.
        rate: in [0, 1).
        generator: of the draw.

    Raises:
        SettingError: rate out of range.

    Source: Wu et al., "ESimCSE", COLING 2022, arXiv 2109.04380, Section 3.1.
    """
    if not 0 <= rate < 1:
        raise SettingError(f"rate must be in [0, 1), got {rate}.")
    words = text.split()
    if not words:
        return text
    most = min(CAP, len(words), max(2, int(rate * len(words))))
    count = int(torch.randint(most, (1,), generator=generator))
    chosen = set(torch.randperm(len(words) - 1, generator=generator)[:count].tolist())
    return " ".join(w for i, word in enumerate(words) for w in [word] * (1 + (i in chosen)))
