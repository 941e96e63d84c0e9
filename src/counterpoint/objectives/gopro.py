"""GOPro: prompts made from an image and from its views give the same classifier."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from counterpoint.engine.checks import Temperature, check_finite, check_integers
from counterpoint.errors import DataError
from counterpoint.objectives.nt_xent import nt_xent
from counterpoint.objectives.registry import Loss, objective

SOURCE = "Singha et al. 2023, GOPro, arXiv 2308.11605"
LENGTH_FLOOR = 1e-12


class Parts(NamedTuple):
    """The three parts, unweighted, each ``()``."""

    classification: Tensor
    consistency: Tensor
    contrast: Tensor


@objective(
    inputs="features",
    across_ranks="an image has its own part; ranks of equal batches average it",
    ranks="rows",
    source=SOURCE,
)
def prompt_consistency(texts: Tensor, *views: Tensor) -> Tensor:
    """``sum_v MSE(t(x), t(x_v))`` of unit class features; a mean over all B K D numbers.

    One unit of squared distance counts 1/D. No side is detached. Identical views give 0.

    Args:
        texts: class features made from the image ``(B, K, D)``, normalised here.
        views: those made from its views, the same shape, at least one.

    Returns:
        ``()``.

    Raises:
        DataError: no view, shapes that differ, NaN or infinity.

    Source: Singha et al., BMVC 2023, arXiv 2308.11605.
    """
    if texts.dim() != 3 or not views or any(view.shape != texts.shape for view in views):
        raise DataError("texts and one or more views must have one shape (B, K, D).")
    check_finite(texts=texts, **{f"view {k + 1}": view for k, view in enumerate(views)})
    unit = _unit(texts)
    return torch.stack([(unit - _unit(view)).square().mean() for view in views]).sum()


@objective(
    inputs="features",
    across_ranks="negatives are those of a rank's own batch",
    source=SOURCE,
)
def gopro(
    logits: Tensor,
    labels: Tensor,
    texts: Tensor,
    texts1: Tensor,
    texts2: Tensor,
    z: Tensor,
    z1: Tensor,
    *,
    temperature: Temperature = 0.1,
    consistency_weight: float = 1.0,
    contrast_weight: float = 0.1,
) -> Tensor:
    """``L_ce + w_sem L_sem + w_con L_con``.

    ``L_ce`` is the cross entropy of the classes' own-prompt logits, ``L_sem`` `prompt_consistency`
    with both views, ``L_con`` `nt_xent` of the projected image and its first view. With a frozen
    image tower and a projector that feeds ``z`` alone, L_con trains the projector only.

    Args:
        logits: already scaled ``(B, K)``.
        labels: int64 ``(B,)``.
        texts: class features from the image ``(B, K, D)``, normalised here.
        texts1: from its first view ``(B, K, D)``.
        texts2: from its second view ``(B, K, D)``.
        z: projected features of the images ``(B, E)``; labels play no part there.
        z1: of the first views ``(B, E)``.
        temperature: of L_con.
        consistency_weight: w_sem.
        contrast_weight: w_con; with 0 a batch of one is allowed.

    Returns:
        ``()``.

    Raises:
        DataError: shapes or labels that do not fit, NaN or infinity; one image has no negative.

    Source: Singha et al., "GOPro: Generate and Optimize Prompts in CLIP using Self-Supervised
    Learning", BMVC 2023, arXiv 2308.11605, released code.
    """
    parts = gopro_parts(
        logits, labels, texts, texts1, texts2, z, z1, temperature, contrast=contrast_weight != 0
    )
    return (
        parts.classification
        + consistency_weight * parts.consistency
        + contrast_weight * parts.contrast
    )


def gopro_parts(
    logits: Tensor,
    labels: Tensor,
    texts: Tensor,
    texts1: Tensor,
    texts2: Tensor,
    z: Tensor,
    z1: Tensor,
    temperature: Temperature = 0.1,
    *,
    contrast: bool = True,
) -> Parts:
    """The parts of `gopro` by name; arguments and errors as there."""
    if logits.dim() != 2 or len(logits) == 0:
        raise DataError(f"logits must be (B, K), B at least 1; got {tuple(logits.shape)}.")
    check_finite(logits=logits)
    labels = check_integers("labels", labels, len(logits), classes=logits.shape[1])
    if contrast and len(z) < 2:
        raise DataError("One image has no negatives; use contrast_weight=0 or a larger batch.")
    consistency = prompt_consistency(texts, texts1, texts2)
    pulled = nt_xent(z, z1, temperature) if contrast else logits.new_zeros(())
    return Parts(cross_entropy(logits, labels), consistency, pulled)


def _unit(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x, dim=-1, eps=LENGTH_FLOOR)


class PromptConsistency(Loss, function=prompt_consistency):
    """`counterpoint.objectives.functional.prompt_consistency` as a module."""

    def forward(self, texts: Tensor, *views: Tensor) -> Tensor:
        return self.call(texts, *views)


class GOPro(Loss, function=gopro):
    """`counterpoint.objectives.functional.gopro` as a module."""

    def __init__(
        self,
        *,
        temperature: Temperature = 0.1,
        consistency_weight: float = 1.0,
        contrast_weight: float = 0.1,
    ) -> None:
        super().__init__(
            temperature=temperature,
            consistency_weight=consistency_weight,
            contrast_weight=contrast_weight,
        )

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        texts: Tensor,
        texts1: Tensor,
        texts2: Tensor,
        z: Tensor,
        z1: Tensor,
    ) -> Tensor:
        return self.call(logits, labels, texts, texts1, texts2, z, z1)
