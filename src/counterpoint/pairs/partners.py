"""A partner of the same class for every example, and which of the two is the better one."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.draws import draw_places


def same_class_candidates(
    labels: Tensor, count: int = 20, generator: torch.Generator | None = None
) -> Tensor:
    """Random possible partners of every example: others of its class, drawn without repetition.

    Args:
        labels: int64 ``(N,)``.
        count: at most so many an example, at least 1.
        generator: of the draw.

    Returns:
        int64 ``(N, count)``, -1 where a class has fewer.

    Source: Kim et al., "Prefer to Classify", ICML 2023 (20 are drawn before training).
    """
    if count < 1:
        raise SettingError(f"count must be at least 1, got {count}.")
    labels = check_integers("labels", labels, len(labels))
    found = torch.full((len(labels), count), -1, device=labels.device)
    for label in torch.unique(labels):
        members = (labels == label).nonzero().flatten()
        for place, row in enumerate(members.tolist()):
            order = torch.randperm(len(members) - 1, generator=generator)[:count]
            order = order.to(labels.device)
            found[row, : len(order)] = members[order + (order >= place)]
    return found


def disagreement(scores: Tensor, candidates: Tensor) -> Tensor:
    """How many pairs of heads decide differently which of anchor and candidate is better.

    A head decides for the higher score, or for neither where they are equal.

    Args:
        scores: of every example by every head, ``(H, N)``.
        candidates: int64 ``(N, P)``, -1 for none.

    Returns:
        int64 ``(N, P)``; unordered pairs of heads, -1 where there is no candidate.

    Source: Kim et al., "Prefer to Classify", ICML 2023, disagreement sampling.
    """
    decision = (scores[:, :, None] - scores[:, candidates.clamp(min=0)]).sign()
    heads = len(scores)
    same = sum((((decision == d).sum(0) ** 2) for d in (-1, 0, 1)), start=torch.tensor(0))
    return ((heads**2 - same) // 2).where(candidates >= 0, -1)


def strongest(
    candidates: Tensor,
    values: Tensor,
    *,
    draws: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The candidate of largest value in every row, ties broken at random.

    Args:
        candidates: int64 ``(N, P)``, -1 for none.
        values: ``(N, P)``.
        draws: numbers in [0, 1) ``(N, P)`` that break the ties, drawn if None.
        generator: of the draw.

    Returns:
        int64 ``(N,)``, -1 where a row has no candidate.
    """
    _same_shape(candidates, values)
    if draws is None:
        draws = torch.rand(values.shape, generator=generator)
    values = values.double().masked_fill(candidates < 0, -torch.inf)
    tied = values == values.amax(1, keepdim=True)
    place = draws.to(values).masked_fill(~tied, -1.0).argmax(1, keepdim=True)
    return candidates.gather(1, place)[:, 0]


def in_proportion(
    candidates: Tensor,
    values: Tensor,
    *,
    draws: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A candidate of every row, drawn in proportion to its min-max normalised value.

    The smallest value of a row has probability 0; where all are equal the draw is uniform. With the
    values of `counterpoint.objectives.p2c.vote_consistency` this is inconsistency sampling.

    Args:
        candidates: int64 ``(N, P)``, -1 for none.
        values: ``(N, P)``.
        draws: numbers in [0, 1) ``(N,)``, drawn if None.
        generator: of the draw.

    Returns:
        int64 ``(N,)``, -1 where a row has no candidate.

    Source: Kim et al., "Prefer to Classify", ICML 2023, inconsistency sampling.
    """
    _same_shape(candidates, values)
    there, values = candidates >= 0, values.double()
    least = values.masked_fill(~there, torch.inf).amin(1, keepdim=True)
    weight = torch.where(there, values - least, 0.0)
    weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, there.double())
    place = draw_places(weight, draws=draws, generator=generator)
    found = candidates.gather(1, place[:, None])[:, 0]
    return found.where(there.any(1), -1)


def preferred_by_votes(votes1: Tensor, votes2: Tensor, labels: Tensor) -> Tensor:
    """Which text of a pair has the larger share of votes for their label.

    Args:
        votes1: label distribution of the annotators ``(B, C)``; split mixed votes before.
        votes2: ``(B, C)``.
        labels: int64 ``(B,)``.

    Returns:
        int64 ``(B,)``: 1 the first, 0 the second, 2 neither.

    Source: Kim et al., "Prefer to Classify", ICML 2023, extractive preferences.
    """
    if votes1.dim() != 2 or votes1.shape != votes2.shape:
        raise DataError(
            "votes1 and votes2 must have one shape (B, C); got "
            f"{tuple(votes1.shape)} and {tuple(votes2.shape)}."
        )
    labels = check_integers("labels", labels, len(votes1))
    ahead = (votes1 - votes2).gather(1, labels[:, None])[:, 0]
    return torch.where(ahead == 0, 2, (ahead > 0).long())


def _same_shape(candidates: Tensor, values: Tensor) -> None:
    if candidates.shape != values.shape or candidates.dim() != 2:
        raise DataError(
            "candidates and values must have one shape (N, P); got "
            f"{tuple(candidates.shape)} and {tuple(values.shape)}."
        )
