"""FoPro: prototypical contrast with a margin, and the bootstrapped classifier loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from counterpoint.engine.checks import (
    check_finite,
    check_integers,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Qin et al. 2023, FoPro, arXiv 2212.00465"
ROW_BY_ROW = "a row has its own loss; ranks of equal batches average it"


def prototype_logits(
    z: Tensor,
    prototypes: Tensor,
    labels: Tensor | None = None,
    *,
    margin: float = 0.5,
    margin_rows: Tensor | None = None,
    temperature: float | Tensor = 0.1,
) -> Tensor:
    """``(z . c_k - margin [k = y]) / t`` of every row and class.

    Args:
        z: ``(B, D)``, as given, not normalised here.
        prototypes: ``(C, D)``, or the weights of a linear classifier.
        labels: int64 ``(B,)``; None takes no margin off.
        margin: taken off the column of the label.
        margin_rows: bool ``(B,)``, the rows with a margin (few-shot ones); None is all.
        temperature: above 0; one number, or one a class ``(C,)``.

    Returns:
        ``(B, C)``.

    Raises:
        DataError: shapes or labels that do not fit, NaN or infinity.
        SettingError: temperature not above 0.

    Source: Qin et al., AAAI 2023, arXiv 2212.00465.
    """
    z, prototypes = prepare(False, z=z, prototypes=prototypes)
    scores = z @ prototypes.T
    scale = inverse_temperature(temperature, len(prototypes), scores)
    if labels is None:
        return scores * scale
    labels = check_integers("labels", labels, len(z), classes=len(prototypes))
    strict = torch.ones_like(labels) if margin_rows is None else margin_rows
    amount = margin * strict.to(scores.dtype)
    return scores.scatter_add(1, labels[:, None], -amount[:, None]) * scale


@objective(inputs="prototypes", across_ranks=ROW_BY_ROW, ranks="rows", source=SOURCE)
def fopro(
    z: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    *,
    few_shot: Tensor | None = None,
    kept: Tensor | None = None,
    margin: float = 0.5,
    temperature: float | Tensor = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    """``L_pro``: cross entropy of `prototype_logits`, over the rows kept by cleaning.

    Args:
        z: unit embeddings ``(B, D)``.
        prototypes: ``(C, D)``; no gradient.
        labels: corrected, int64 ``(B,)``.
        few_shot: bool ``(B,)``, the rows with a margin; None is none of them.
        kept: bool ``(B,)``; None keeps all.
        margin: of few-shot rows.
        temperature: above 0, or one a class.
        reduction: over rows kept.

    Returns:
        ``()``, or ``(B,)`` without reduction. No row kept: 0.

    Raises:
        DataError: shapes or labels that do not fit, NaN or infinity.
        SettingError: temperature not above 0.

    Source: Qin et al., AAAI 2023, arXiv 2212.00465. Its other parts: `bootstrapped`, `info_nce`
    with a queue, and this one on the weights of a low-dimensional classifier with a margin in every
    row.
    """
    strict = torch.zeros_like(labels, dtype=torch.bool) if few_shot is None else few_shot
    logits = prototype_logits(
        z,
        prototypes.detach(),
        labels,
        margin=margin,
        margin_rows=strict,
        temperature=temperature,
    )
    return reduce(cross_entropy(logits, labels, reduction="none"), reduction, kept)


@objective(inputs="logits", across_ranks=ROW_BY_ROW, ranks="rows", source=SOURCE)
def bootstrapped(
    logits: Tensor,
    labels: Tensor,
    soft: Tensor,
    score: Tensor,
    *,
    kept: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """``b CE(o, y) + (1 - b) CE(o, q)``: hard label and soft target, by belief in the label.

    Args:
        logits: ``(B, C)``.
        labels: corrected, int64 ``(B,)``.
        soft: q ``(B, C)``; no gradient.
        score: b ``(B,)``, soft target of the label before correction; no gradient.
        kept: bool ``(B,)``; None keeps all.
        reduction: over rows kept.

    Returns:
        ``()``, or ``(B,)`` without reduction. No row kept: 0.

    Raises:
        DataError: shapes or labels that do not fit, NaN or infinity.

    Source: Qin et al., AAAI 2023, arXiv 2212.00465, L_cls.
    """
    if logits.dim() != 2 or logits.shape != soft.shape or score.shape != logits.shape[:1]:
        raise DataError("logits and soft must be (B, C), score (B,).")
    check_finite(logits=logits, soft=soft, score=score)
    labels = check_integers("labels", labels, len(logits), classes=logits.shape[1])
    belief = score.detach()
    hard = cross_entropy(logits, labels, reduction="none")
    softly = -(soft.detach() * logits.log_softmax(1)).sum(1)
    return reduce(belief * hard + (1 - belief) * softly, reduction, kept)


class FoPro(Loss, function=fopro):
    """`counterpoint.objectives.functional.fopro` as a module."""

    def __init__(
        self,
        *,
        margin: float = 0.5,
        temperature: float | Tensor = 0.1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(margin=margin, temperature=temperature, reduction=reduction)

    def forward(
        self,
        z: Tensor,
        prototypes: Tensor,
        labels: Tensor,
        *,
        few_shot: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Tensor:
        return self.call(z, prototypes, labels, few_shot=few_shot, kept=kept)


class Bootstrapped(Loss, function=bootstrapped):
    """`counterpoint.objectives.functional.bootstrapped` as a module."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        soft: Tensor,
        score: Tensor,
        *,
        kept: Tensor | None = None,
    ) -> Tensor:
        return self.call(logits, labels, soft, score, kept=kept)
