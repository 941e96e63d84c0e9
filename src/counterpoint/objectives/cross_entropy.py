"""Classification, beside a contrast or in its place."""

from __future__ import annotations

from torch import Tensor, nn

from counterpoint.engine.ranks import global_sum, global_value


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of ``-log softmax(logits)[label]`` over the samples of all ranks that have a label.

    Args:
        logits: float ``(N, C)``.
        labels: int64 ``(N,)``, -1 where unknown.

    Returns:
        ``()``; 0 where no sample has a label.

    Source: the multinomial log-likelihood.
    """
    total = nn.functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    return global_value(total) / global_sum((labels >= 0).sum()).clamp(min=1)
