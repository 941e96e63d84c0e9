"""TFUP-T: learn from confident pseudo-labels, and keep the mean prediction spread."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from counterpoint.engine.checks import check_finite, check_not_negative
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.registry import Loss, objective

EPSILON = 1e-6
SOURCE = "Training-Free Unsupervised Prompt for Vision-Language Models 2024, arXiv 2404.16339"


@objective(
    inputs="logits",
    across_ranks="the mean prediction is that of a rank's own batch",
    source=SOURCE,
)
def marginal_entropy(logits: Tensor) -> Tensor:
    """``sum_c m_c log(m_c + 1e-6)``, m the mean of softmax over the batch: minus its entropy.

    To be minimised; smallest, about ``-log C``, where predictions spread evenly. It assumes classes
    of roughly equal size.

    Args:
        logits: ``(N, C)``, N at least 1.

    Returns:
        ``()``.

    Raises:
        DataError: logits that are no matrix, NaN or infinite.

    Source: arXiv 2404.16339, marginal distribution entropy (weight 0.3 there).
    """
    if logits.dim() != 2 or logits.numel() == 0:
        raise DataError(f"logits must be (N, C), N at least 1; got {tuple(logits.shape)}.")
    check_finite(logits=logits)
    mean = logits.softmax(1).mean(0)
    return (mean * (mean + EPSILON).log()).sum()


@objective(
    inputs="logits",
    across_ranks="confident rows and the mean prediction are those of a rank's own batch",
    source=SOURCE,
)
def tfup_t(
    strong: Tensor, weak: Tensor, *, threshold: float = 0.9, entropy_weight: float = 0.3
) -> Tensor:
    """Cross entropy of confident pseudo-labels, plus ``entropy_weight`` times `marginal_entropy`.

    The pseudo-label of a row is the largest weak logit where its softmax exceeds the threshold; the
    entropy is over all rows. Without a confident row the first part is 0.

    Args:
        strong: logits of strongly augmented views ``(N, C)``.
        weak: logits of the weak views ``(N, C)``, by `counterpoint.curation.tfup`; no gradient.
        threshold: in [0, 1).
        entropy_weight: at least 0.

    Returns:
        ``()``.

    Raises:
        DataError: logits that do not fit.
        SettingError: a setting out of range.

    Source: arXiv 2404.16339, phase 2 of TFUP-T.
    """
    check_not_negative(entropy_weight=entropy_weight)
    if not 0 <= threshold < 1:
        raise SettingError(f"threshold must be in [0, 1), not {threshold}.")
    if strong.shape != weak.shape:
        raise DataError(f"strong {tuple(strong.shape)} and weak {tuple(weak.shape)} must agree.")
    check_finite(strong=strong, weak=weak)
    spread = entropy_weight * marginal_entropy(strong)
    chance, label = weak.detach().softmax(1).max(1)
    sure = chance > threshold
    if not bool(sure.any()):
        return spread
    return cross_entropy(strong[sure], label[sure]) + spread


class MarginalEntropy(Loss, function=marginal_entropy):
    """`counterpoint.objectives.functional.marginal_entropy` as a module."""

    def forward(self, logits: Tensor) -> Tensor:
        return self.call(logits)


class TFUPT(Loss, function=tfup_t):
    """`counterpoint.objectives.functional.tfup_t` as a module."""

    def __init__(self, *, threshold: float = 0.9, entropy_weight: float = 0.3) -> None:
        super().__init__(threshold=threshold, entropy_weight=entropy_weight)

    def forward(self, strong: Tensor, weak: Tensor) -> Tensor:
        return self.call(strong, weak)
