"""Two random spans of one chunk of tokens, each with some tokens changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError

Change = Literal["delete", "mask", "replace", "shuffle", "none"]


def random_span(
    tokens: Tensor,
    shares: tuple[float, float] = (0.05, 0.5),
    *,
    draws: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A run of ``max(1, int(T r))`` tokens, r even in ``shares``, anywhere in the chunk.

    Args:
        tokens: int64 ``(T,)``, T at least 1.
        shares: smallest and largest r, ``0 < low <= high <= 1``; the released main run has 0.05.
        draws: two numbers in [0, 1) ``(2,)`` that decide length and place; drawn if None.
        generator: of the draw.

    Raises:
        DataError: no tokens.
        SettingError: shares out of range.

    Source: Izacard et al., Contriever, TMLR 2022, arXiv 2112.09118, independent cropping.
    """
    low, high = shares
    if not 0 < low <= high <= 1:
        raise SettingError(f"shares must be 0 < low <= high <= 1, got {shares}.")
    if tokens.dim() != 1 or len(tokens) == 0:
        raise DataError(f"tokens must be (T,) with T at least 1, got {tuple(tokens.shape)}.")
    if draws is None:
        draws = torch.rand(2, generator=generator, dtype=torch.float64)
    size, place = draws.tolist()
    length = max(1, int(len(tokens) * (low + (high - low) * size)))
    start = int(place * (len(tokens) - length + 1))
    return tokens[start : start + length]


def change_tokens(
    tokens: Tensor,
    how: Change = "delete",
    probability: float = 0.1,
    *,
    mask: int | None = None,
    vocabulary: Tensor | None = None,
    draws: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Changes each token with a probability: those with ``draw <= probability`` are chosen.

    Args:
        tokens: int64 ``(n,)``, without begin and end tokens.
        how: ``"delete"`` (of all tokens chosen one stays), ``"mask"``, ``"replace"`` by a token of
            the vocabulary, ``"shuffle"`` the chosen among themselves, ``"none"``.
        probability: in [0, 1].
        mask: id that masks.
        vocabulary: ids that replace, the special ones left out, int64 ``(V,)``.
        draws: numbers in [0, 1) ``(n,)`` that decide; drawn if None.
        generator: of the draws, of the replacing tokens and of the order.

    Raises:
        SettingError: unknown change, probability out of range, no mask or vocabulary for it.

    Source: Izacard et al., Contriever, TMLR 2022, arXiv 2112.09118, released ``data.py``.
    """
    if how not in get_args(Change):
        raise SettingError(f"how must be one of {', '.join(get_args(Change))}, got {how!r}.")
    if not 0 <= probability <= 1:
        raise SettingError(f"probability must be in [0, 1], got {probability}.")
    if how == "none" or len(tokens) == 0:
        return tokens
    if draws is None:
        draws = torch.rand(len(tokens), generator=generator, dtype=torch.float64)
    chosen = draws <= probability if probability else torch.zeros_like(draws, dtype=torch.bool)
    if how == "delete":
        return tokens[~chosen] if not bool(chosen.all()) else tokens[draws.argmax()][None]
    changed = tokens.clone()
    count = int(chosen.sum())
    if how == "mask":
        if mask is None:
            raise SettingError("how='mask' needs the id that masks, mask=.")
        changed[chosen] = mask
    elif how == "replace":
        if vocabulary is None or len(vocabulary) == 0:
            raise SettingError("how='replace' needs the ids that replace, vocabulary=.")
        changed[chosen] = vocabulary[torch.randint(len(vocabulary), (count,), generator=generator)]
    else:
        changed[chosen] = tokens[chosen][torch.randperm(count, generator=generator)]
    return changed


@dataclass(frozen=True)
class IndependentSpans:
    """Two views of a chunk: `random_span`, then `change_tokens`, each drawn by itself.

    The views are exchangeable and may overlap. Draws come from torch's global generator.

    Args:
        shares: of `random_span`.
        how: of `change_tokens`.
        probability: of `change_tokens`.
        mask: id that masks.
        vocabulary: ids that replace.

    Source: Izacard et al., Contriever, TMLR 2022, arXiv 2112.09118.
    """

    shares: tuple[float, float] = (0.05, 0.5)
    how: Change = "delete"
    probability: float = 0.1
    mask: int | None = None
    vocabulary: Tensor | None = None

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self._view(tokens), self._view(tokens)

    def _view(self, tokens: Tensor) -> Tensor:
        return change_tokens(
            random_span(tokens, self.shares),
            self.how,
            self.probability,
            mask=self.mask,
            vocabulary=self.vocabulary,
        )


def chunks(stream: Tensor, length: int = 256, offset: int = 0) -> Tensor:
    """Consecutive chunks of a token stream, begun at an offset that is drawn anew each epoch.

    Args:
        stream: int64 ``(S,)``.
        length: T, at least 1.
        offset: in 0 .. T - 1; what is left at the end is dropped.

    Returns:
        int64 ``(chunks, T)``.

    Raises:
        SettingError: length or offset out of range.

    Source: Izacard et al., Contriever, TMLR 2022, arXiv 2112.09118.
    """
    if length < 1 or not 0 <= offset < length:
        raise SettingError(f"Need length >= 1 and 0 <= offset < length, got {length}, {offset}.")
    usable = max(len(stream) - offset, 0) // length * length
    return stream[offset : offset + usable].reshape(-1, length)
