from __future__ import annotations

import torch

from counterpoint.apps.two_views import two_views
from counterpoint.data import Dataset, Split, load


def flat(images: torch.Tensor) -> torch.Tensor:
    return images.float().flatten(1)


def test_views_differ_and_repeat_with_the_seed() -> None:
    data = load("digits", limit=200)
    first, second = two_views(flat, data, seed=3)
    again, _ = two_views(flat, data, seed=3)
    other, _ = two_views(flat, data, seed=4)
    assert first.shape == second.shape == (len(data.test), 64)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_views_of_texts() -> None:
    texts = [f"word {i} of a longer sentence" for i in range(5)]
    split = Split(items=texts, names=texts)
    seen: list[list[str]] = []

    def embed(items: list[str]) -> torch.Tensor:
        seen.append(list(items))
        return torch.zeros(len(items), 2)

    two_views(embed, Dataset("t", "text", train=split, test=split))
    assert all(len(views) == 5 for views in seen)
    assert all(f"{i}" in view or "word" in view for i, view in enumerate(seen[0]))
    assert seen[0] != seen[1]
