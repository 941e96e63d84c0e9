"""Samples of a teacher that agree with its own majority, and those that do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from random import Random

from counterpoint.errors import DataError


def majority(
    answers: Sequence[Hashable], gold: Hashable | None = None, generator: Random | None = None
) -> Hashable:
    """The most frequent answer; of tied ones the gold answer, else one drawn at random.

    Args:
        answers: of the samples of one question, at least one.
        gold: the known answer, if any; it only decides ties.
        generator: of the draw.

    Raises:
        DataError: no answer.
    """
    if not answers:
        raise DataError("A question without samples has no majority answer.")
    counts = Counter(answers)
    most = max(counts.values())
    tied = [answer for answer, count in counts.items() if count == most]
    if len(tied) == 1:
        return tied[0]
    return gold if gold in tied else (generator or Random()).choice(tied)


def split_by_majority(
    answers: Sequence[Hashable], gold: Hashable | None = None, generator: Random | None = None
) -> tuple[list[int], list[int]]:
    """Positions of the samples that agree with the `majority`, and of those that do not.

    Args:
        answers: of the samples of one question, at least one; the paper has 5 at temperature 0.7.
        gold: the known answer, if any; it only decides ties.
        generator: of the draw among ties.

    Source: Wang et al., "Quality-guided Contrastive Rationale Distillation", EMNLP 2025, arXiv
    2405.13014; self-consistency: Wang et al., ICLR 2023.
    """
    chosen = majority(answers, gold, generator)
    agree = [place for place, answer in enumerate(answers) if answer == chosen]
    return agree, [place for place, answer in enumerate(answers) if answer != chosen]
