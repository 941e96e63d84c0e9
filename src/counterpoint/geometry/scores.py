"""How the similarities of positive and negative pairs are distributed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry.inputs import class_labels, unit_rows


def score_histogram(
    z1: Any,
    z2: Any | None = None,
    *,
    labels: Any | None = None,
    bins: int = 50,
    pairs: int = 50_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Histograms of the cosine similarity of positive and of negative pairs.

    With ``z2`` the positives are the N pairs ``(z1_i, z2_i)`` and the negatives ``pairs`` draws of
    ``(z1_i, z2_j)``: i uniform, j uniform among the others. With ``labels`` instead, positives and
    negatives are ``pairs`` draws each: i uniform among the rows that have such a partner, j uniform
    among the other rows of the same, respectively of a different label. Draws are with replacement.

    Args:
        z1: embeddings ``(N, D)``, normalised here.
        z2: embeddings ``(N, D)`` of the second view; or None.
        labels: whole numbers ``(N,)``, -1 where missing (left out); exactly one of both is given.
        bins: number of equal bins over [-1, 1].
        pairs: number of drawn pairs of a kind.
        seed: of the draws.

    Returns:
        ``{"edges": bins + 1 floats, "positive": counts, "negative": counts, "positive_mean",
        "negative_mean", "overlap", "sampling": words}``; ``overlap`` is the share of mass the two
        normalised histograms have in common (0 apart, 1 equal).

    Raises:
        DataError: bad embeddings or labels, or no pair of a kind.
        SettingError: both or neither of ``z2`` and ``labels``, or a count below 1.

    Source: the usual picture of a contrastive space; the definitions are those above.
    """
    if (z2 is None) == (labels is None):
        raise SettingError("Give either z2 (two views) or labels, not both and not neither.")
    if bins < 1 or pairs < 1:
        raise SettingError(f"bins and pairs must be at least 1, got {bins} and {pairs}.")
    generator = torch.Generator().manual_seed(seed)
    a = unit_rows(z1, "z1").detach().cpu()
    if z2 is not None:
        b = unit_rows(z2, "z2").detach().cpu()
        if a.shape != b.shape:
            raise DataError(f"z1 {tuple(a.shape)} and z2 {tuple(b.shape)} must have equal shapes.")
        positive = (a * b).sum(dim=1)
        negative = _scores(a, b, _other_rows(len(a), pairs, generator))
        sampling = f"positives: all {len(a)} pairs of views; negatives: {pairs} random pairs"
    else:
        same, different = _label_pairs(class_labels(labels, len(a), a.device), pairs, generator)
        positive, negative = _scores(a, a, same), _scores(a, a, different)
        sampling = f"{pairs} random pairs of one label, {pairs} of different labels"
    return _summary(positive, negative, bins, sampling)


def _scores(a: Tensor, b: Tensor, index: tuple[Tensor, Tensor]) -> Tensor:
    parts = zip(torch.split(index[0], 8192), torch.split(index[1], 8192), strict=True)
    return torch.cat([(a[i] * b[j]).sum(dim=1) for i, j in parts])


def _other_rows(count: int, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    i = torch.randint(count, (pairs,), generator=generator)
    step = torch.randint(1, count, (pairs,), generator=generator)
    return i, (i + step) % count


def _label_pairs(
    y: Tensor, pairs: int, generator: torch.Generator
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    known = (y >= 0).nonzero().flatten()
    order = known[y[known].argsort(stable=True)]
    _, position, sizes = torch.unique_consecutive(y[order], return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DataError("All labels are equal (or missing), so there is no negative pair.")
    if int(sizes.max()) < 2:
        raise DataError("No two rows share a label, so there is no positive pair.")
    first, size = (sizes.cumsum(0) - sizes)[position], sizes[position]

    def draw(below: Tensor) -> Tensor:
        uniform = torch.rand(len(below), generator=generator, dtype=torch.float64)
        return (uniform * below).long()

    paired = (size > 1).nonzero().flatten()
    i = paired[torch.randint(len(paired), (pairs,), generator=generator)]
    j = first[i] + (i - first[i] + 1 + draw(size[i] - 1)) % size[i]
    k = torch.randint(len(order), (pairs,), generator=generator)
    m = (first[k] + size[k] + draw(len(order) - size[k])) % len(order)
    return (order[i], order[j]), (order[k], order[m])


def _summary(positive: Tensor, negative: Tensor, bins: int, sampling: str) -> dict[str, Any]:
    counts = [
        torch.histc(scores.double().clamp(-1, 1), bins, -1, 1) for scores in (positive, negative)
    ]
    shares = [count / count.sum() for count in counts]
    return {
        "edges": torch.linspace(-1, 1, bins + 1, dtype=torch.float64).tolist(),
        "positive": counts[0].long().tolist(),
        "negative": counts[1].long().tolist(),
        "positive_mean": float(positive.double().mean()),
        "negative_mean": float(negative.double().mean()),
        "overlap": float(torch.minimum(*shares).sum()),
        "sampling": sampling,
    }
