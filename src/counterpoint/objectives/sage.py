"""SAGE: how sure judges are of a class in what a generator made."""

from __future__ import annotations

import math

from torch import Tensor

from counterpoint.engine.checks import check_integers, check_reduction
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

SMALLEST = 1e-12


@objective(
    inputs="logits",
    across_ranks="an image has its own loss; ranks of equal batches average it",
    ranks="rows",
    source="SAGE, Discovering Failure Modes of Text-guided Diffusion Models, ICLR 2024, "
    "arXiv 2306.00974",
)
def sage(
    logits: Tensor, labels: Tensor, *, towards: bool = False, reduction: Reduction = "mean"
) -> Tensor:
    """``log max(q_k, 1e-12)``, to be minimised: the probability of class k by a mean of judges.

    ``q = mean_j softmax(logits_j)``. Its gradient leads the input of a generator to images in which
    the judges do not see what was asked for; with ``towards``, its negative, to images in which
    they see class k. Where q_k is below 1e-12 there is no gradient: take a random direction.

    Args:
        logits: of J classifiers, float ``(B, J, C)``, or ``(B, C)`` of one. Take some that are
            robust to attacks, or the search fools them instead of the generator.
        labels: k, int64 ``(B,)``.
        towards: minimise ``-log q_k`` instead, the search for a token that shows class k.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over images.

    Returns:
        ``()``, or ``(B,)`` without reduction; in [-27.7, 0], with ``towards`` in [0, 27.7].

    Raises:
        DataError: logits or labels that do not fit, NaN, infinity.
        SettingError: unknown reduction.

    Source: SAGE, ICLR 2024, arXiv 2306.00974; the clamp is reconstructed. What counts as a failure
    is in `counterpoint.curation.failure_search`.
    """
    check_reduction(reduction)
    logs = log_opinion(logits)
    labels = check_integers("labels", labels, len(logs), classes=logs.shape[1])
    sure = logs.gather(1, labels[:, None])[:, 0].clamp(min=math.log(SMALLEST))
    return reduce(-sure if towards else sure, reduction)


def log_opinion(logits: Tensor) -> Tensor:
    """``log mean_j softmax(logits_j)``, ``(B, C)``: the joint opinion of the judges.

    Args:
        logits: float ``(B, J, C)``, or ``(B, C)``.

    Raises:
        DataError: another shape, NaN, infinity.

    Source: as `sage`.
    """
    if not isinstance(logits, Tensor) or logits.dim() not in (2, 3) or logits.numel() == 0:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise DataError(f"logits must be (B, J, C) of J judges, or (B, C) of one, not {shape}.")
    if not logits.is_floating_point():
        raise DataError(f"logits must be floats, not {logits.dtype}.")
    bad = (~logits.detach().isfinite()).flatten(1).any(1).nonzero().flatten()
    if len(bad):
        raise DataError(f"logits hold NaN or infinity in row {int(bad[0])}.")
    judges = logits[:, None] if logits.dim() == 2 else logits
    judges = judges.float() if judges.element_size() < 4 else judges
    return judges.log_softmax(2).logsumexp(1) - math.log(judges.shape[1])


class SAGE(Loss, function=sage):
    """`counterpoint.objectives.functional.sage` as a module."""

    def __init__(self, *, towards: bool = False, reduction: Reduction = "mean") -> None:
        super().__init__(towards=towards, reduction=reduction)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.call(logits, labels)
