"""Class scores of detected boxes: a trained detector and a frozen image-text model together."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError


def region_logits(regions: Tensor, classes: Tensor, temperature: float = 0.1) -> Tensor:
    """``cos(region_r, class_c) / t``; a zero vector has cosine 0.

    Args:
        regions: float ``(..., R, D)``.
        classes: text embeddings of the classes, float ``(..., C, D)``.
        temperature: t above 0; 0.1 for the detector, 0.01 for the frozen model.

    Returns:
        ``(..., R, C)``.

    Raises:
        DataError: widths that differ.
        SettingError: temperature out of range.

    Source: Kim et al. 2023, DITO, arXiv 2310.00161, released code.
    """
    if not temperature > 0:
        raise SettingError(f"temperature must be a positive number, not {temperature}.")
    if regions.shape[-1] != classes.shape[-1]:
        raise DataError(f"Regions have width {regions.shape[-1]}, classes {classes.shape[-1]}.")
    return normalize(regions, dim=-1) @ normalize(classes, dim=-1).mT / temperature


def detection_scores(
    detector: Tensor,
    frozen: Tensor,
    base: Tensor | None = None,
    *,
    objectness: Tensor | None = None,
    base_weight: float = 0.35,
    novel_weight: float = 0.65,
    power: float = 3.0,
) -> Tensor:
    """``p_c^(1 - a_c) z_c^a_c`` renormalised over the classes, times ``objectness^power``.

    p and z are the softmax of both logits over all classes. Class 0 is the background and keeps
    ``p_0`` before the renormalisation. Computed in logarithms.

    Args:
        detector: logits of the trained box head, float ``(..., R, C)``.
        frozen: logits of the frozen image-text model, same shape.
        base: True for classes the detector was trained on, broadcasts to ``(..., R, C)``; None
            takes all as novel.
        objectness: scores of the proposals in [0, 1], ``(..., R)``; None for 1.
        base_weight: a of a base class, in [0, 1].
        novel_weight: a of a novel class, in [0, 1].
        power: of the objectness.

    Returns:
        ``(..., R, C)``; without objectness every row sums to 1.

    Raises:
        DataError: shapes that do not fit, NaN, infinity.
        SettingError: a weight outside [0, 1].

    Source: Kim et al. 2023, DITO, arXiv 2310.00161, released code.
    """
    if not (0 <= base_weight <= 1 and 0 <= novel_weight <= 1):
        raise SettingError(f"Weights must lie in [0, 1], not {base_weight}, {novel_weight}.")
    if detector.shape != frozen.shape or detector.dim() < 2:
        raise DataError(
            f"Both logits must have one shape (..., R, C), not {tuple(detector.shape)} and "
            f"{tuple(frozen.shape)}."
        )
    for name, logits in (("detector", detector), ("frozen", frozen)):
        if not bool(torch.isfinite(logits).all()):
            raise DataError(f"The logits of {name} hold NaN or infinity.")
    weight = torch.full_like(detector, novel_weight)
    if base is not None:
        weight = weight.masked_fill(base.bool(), base_weight)
    weight[..., 0] = 0
    log_p, log_z = detector.log_softmax(-1), frozen.log_softmax(-1)
    scores = ((1 - weight) * log_p + weight * log_z).softmax(-1)
    if objectness is None:
        return scores
    if objectness.shape != detector.shape[:-1]:
        raise DataError(f"objectness must be {tuple(detector.shape[:-1])}, one a region.")
    return scores * objectness[..., None] ** power
