"""Pairs of documents that a third one cites together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import combinations
from typing import TypeVar

Document = TypeVar("Document", bound=Hashable)


def cocited_pairs(
    citations: Mapping[Document, Iterable[Document]], among: Iterable[Document] | None = None
) -> list[tuple[Document, Document]]:
    """Unordered pairs (a, b) that some document cites both of, each once, first seen first.

    Args:
        citations: what each document cites; links to itself do not count.
        among: the documents of the field whose text is not empty; None keeps all.

    Source: Hallee et al., Scientific Reports 2025, arXiv 2401.15713.
    """
    allowed = None if among is None else set(among)
    found: dict[frozenset[Document], tuple[Document, Document]] = {}
    for citing, cited in citations.items():
        kept = [
            document
            for document in dict.fromkeys(cited)
            if document != citing and (allowed is None or document in allowed)
        ]
        for a, b in combinations(kept, 2):
            found.setdefault(frozenset((a, b)), (a, b))
    return list(found.values())
