"""WhitenedCSE: one anchor view against each further view."""

from __future__ import annotations

from torch import Tensor, nn

from counterpoint.engine.checks import Temperature
from counterpoint.engine.terms import Reduction
from counterpoint.errors import SettingError
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="views",
    across_ranks="negatives are the rows of all ranks; mean over all anchors",
    source="Zhuo et al. 2023, Whitening-based Contrastive Learning of Sentence Embeddings, "
    "arXiv 2305.17746",
)
def whitenedcse(
    *views: Tensor,
    temperature: Temperature = 0.05,
    decoupled: bool = False,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``sum_{m >= 2} info_nce(z_1, z_m)``: view 1 is always the anchor, each view has its own sum.

    A sum, not a mean, over views, and one direction. With two views it is `info_nce`. Meant for
    views through `counterpoint.encoders.group_whitening`, which makes several positives of one
    sentence.

    Args:
        views: at least 2, three in the paper, each ``(N, D)``.
        temperature: positive; number, learnable scalar or one an anchor.
        decoupled: leave the positive out of the denominator.
        reduction: over anchors.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: a single view; temperature or reduction out of range.

    Source: Zhuo et al., "WhitenedCSE", ACL 2023, arXiv 2305.17746, as released.
    """
    if len(views) < 2:
        raise SettingError(f"There must be at least 2 views, got {len(views)}.")
    anchor, *others = views
    losses = [
        info_nce(
            anchor,
            other,
            temperature,
            decoupled=decoupled,
            reduction=reduction,
            ids=ids,
            across_ranks=across_ranks,
        )
        for other in others
    ]
    return sum(losses[1:], losses[0])


class WhitenedCSE(Loss, function=whitenedcse):
    """`counterpoint.objectives.functional.whitenedcse` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.05,
        *,
        decoupled: bool = False,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            decoupled=decoupled,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, *views: Tensor, ids: Tensor | None = None) -> Tensor:
        return self.call(*views, ids=ids)
