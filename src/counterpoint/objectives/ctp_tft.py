"""CTP and TFT: classes of an image told by prompts that the image has changed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from counterpoint.engine.checks import (
    Temperature,
    check_finite,
    check_integers,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="features",
    across_ranks="an image has its own classes; ranks of equal batches average it",
    ranks="rows",
    source="Task-Oriented Multi-Modal Mutual Leaning for Vision-Language Models, ICCV 2023, "
    "arXiv 2303.17169",
)
def ctp_tft(
    image: Tensor,
    texts: Tensor,
    labels: Tensor,
    temperature: Temperature = 0.01,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-log softmax_c(<f_b, t_bc> / t)`` of the true class: every image has its own class texts.

    The contrastive loss of prompt tuning, without negatives of the batch. `image_class_logits` are
    its logits; the largest is the prediction. With the same texts for all images it is the cross
    entropy of `prototype_logits`.

    Args:
        image: features f, float ``(B, D)``; or one for every class, ``(B, K, D)``.
        texts: features of the K prompts of each image, float ``(B, K, D)``.
        labels: int64 ``(B,)``, in 0..K-1.
        temperature: positive; one number, a learnable scalar, or one value an image.
        normalize: divide every feature by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over images.

    Returns:
        ``()``, or ``(B,)`` without reduction. With one class: 0, without gradient.

    Raises:
        DataError: features or labels that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Task-Oriented Multi-Modal Mutual Leaning for Vision-Language Models, ICCV 2023, arXiv
    2303.17169; the encoders' side is in `counterpoint.encoders.class_prompts`.
    """
    check_reduction(reduction)
    logits = image_class_logits(image, texts, temperature, normalize=normalize)
    labels = check_integers("labels", labels, len(logits), classes=logits.shape[1])
    return reduce(cross_entropy(logits, labels, reduction="none"), reduction)


def image_class_logits(
    image: Tensor, texts: Tensor, temperature: Temperature = 0.01, *, normalize: bool = True
) -> Tensor:
    """``<f_b, t_bc> / t``, ``(B, K)``; arguments and errors as `ctp_tft`.

    Source: as `ctp_tft`.
    """
    if not isinstance(texts, Tensor) or texts.dim() != 3:
        raise DataError("texts must be (B, K, D), the features of the prompts of every image.")
    same_rows(image=image, texts=texts)
    check_finite(image=image, texts=texts)
    own = image if image.dim() == 2 else image.flatten(0, 1)
    f, t = prepare(normalize, image=own, texts=texts.flatten(0, 1))
    t = t.view(texts.shape)
    f = f[:, None] if image.dim() == 2 else f.view(image.shape)
    if f.shape[1] not in (1, t.shape[1]):
        raise DataError(f"image has {f.shape[1]} classes and texts have {t.shape[1]}.")
    scale = inverse_temperature(temperature, len(t), t).reshape(-1, 1)
    logits: Tensor = scale * torch.linalg.vecdot(f, t)
    return logits


class CTPTFT(Loss, function=ctp_tft):
    """`counterpoint.objectives.functional.ctp_tft` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.01,
        *,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(temperature=temperature, normalize=normalize, reduction=reduction)

    def forward(self, image: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        return self.call(image, texts, labels)
