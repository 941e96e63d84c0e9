"""GenView: how far a generated view may go, and how much a positive pair is to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError

EPSILON = 1e-7
LEVELS = (0, 100, 200, 300, 400)


@dataclass(frozen=True)
class SoftMaps:
    """Foreground and background of images, and their mean tokens.

    Attributes:
        foreground: weights of the tokens ``(B, T)``, summing to 1.
        background: ``(B, T)``.
        foreground_feature: weighted mean token ``(B, D)``.
        background_feature: ``(B, D)``.
    """

    foreground: Tensor
    background: Tensor
    foreground_feature: Tensor
    background_feature: Tensor


def foreground_direction(tokens: Tensor, *, centre: Tensor | None = None) -> Tensor:
    """First principal direction of tokens ``(D,)``, of length 1: their foreground scorer.

    Its sign is arbitrary. With ``centre`` it is fixed so that tokens in the centre of images score
    higher on average than the others; without, the largest entry is positive, and the caller must
    look and perhaps negate.

    Args:
        tokens: float ``(M, D)``, of many images, M at least 2.
        centre: bool ``(M,)``, tokens from the centre of their image.

    Raises:
        DataError: shapes that do not fit.

    Source: Li et al. 2024, GenView, arXiv 2403.12003.
    """
    if tokens.dim() != 2 or len(tokens) < 2:
        raise DataError(f"tokens must be (M, D) with at least 2 rows, not {tuple(tokens.shape)}.")
    direction = torch.linalg.eigh(torch.cov(tokens.T).reshape(2 * tokens.shape[1:])).eigenvectors
    found: Tensor = direction[:, -1]
    if centre is None:
        found *= found[found.abs().argmax()].sign()
        return found
    scores = tokens @ found
    return found if scores[centre].mean() >= scores[~centre].mean() else -found


def foreground_threshold(scores: Tensor, share: float = 0.4) -> float:
    """The score above which a share of all tokens lies.

    Args:
        scores: of the tokens of many images, any shape.
        share: in (0, 1); the released script takes 0.35.

    Raises:
        SettingError: share out of range.

    Source: Li et al. 2024, arXiv 2403.12003.
    """
    if not 0 < share < 1:
        raise SettingError(f"share must lie in (0, 1), not {share}.")
    ordered = scores.flatten().sort().values
    return float(ordered[min(int((1 - share) * len(ordered)), len(ordered) - 1)])


def foreground_ratio(scores: Tensor, threshold: float) -> Tensor:
    """Share of each image's tokens ``(B, T)`` above the threshold, ``(B,)``.

    Source: Li et al. 2024, arXiv 2403.12003.
    """
    return (scores > threshold).double().mean(1)


def noise_levels(ratios: Tensor, levels: tuple[int, ...] = LEVELS) -> Tensor:
    """Noise on the condition of the generator: little for small objects, more for large ones.

    The range 0 .. 1 of foreground ratios is cut into equal bins, closed on the right, one a level.

    Args:
        ratios: in [0, 1], any shape.
        levels: from the smallest ratio on.

    Returns:
        int64 of the same shape.

    Raises:
        DataError: a ratio outside [0, 1].

    Source: Li et al. 2024, arXiv 2403.12003.
    """
    if bool(((ratios < 0) | (ratios > 1) | ratios.isnan()).any()):
        raise DataError("Foreground ratios must lie in [0, 1].")
    count = len(levels)
    edges = ratios.new_tensor([step / count for step in range(1, count)])
    place = torch.searchsorted(edges, ratios)
    return torch.tensor(levels, device=ratios.device)[place]


def soft_maps(tokens: Tensor, direction: Tensor) -> SoftMaps:
    """Soft foreground and background from the tokens' products with a direction, uncentred.

    ``m = (a - min) / (max - min)`` per image, background ``1 - m``, each then divided by its sum.

    Args:
        tokens: float ``(B, T, D)``.
        direction: ``(D,)``, see `foreground_direction`.

    Raises:
        DataError: shapes that do not fit, NaN or infinity.

    Source: Li et al. 2024, arXiv 2403.12003.
    """
    if tokens.dim() != 3 or direction.shape != tokens.shape[2:]:
        raise DataError(
            f"tokens must be (B, T, D) and direction (D,), not {tuple(tokens.shape)} and "
            f"{tuple(direction.shape)}."
        )
    if not bool(torch.isfinite(tokens).all()):
        raise DataError("tokens hold NaN or infinity.")
    scores = tokens @ direction
    low, high = scores.amin(1, keepdim=True), scores.amax(1, keepdim=True)
    foreground = (scores - low) / (high - low + EPSILON)
    background = 1 - foreground
    foreground, background = (
        m / (m.sum(1, keepdim=True) + EPSILON) for m in (foreground, background)
    )
    means = [(m[:, None] @ tokens)[:, 0] for m in (foreground, background)]
    return SoftMaps(foreground, background, *means)


@torch.no_grad()
def pair_quality(
    tokens1: Tensor,
    tokens2: Tensor,
    direction: Tensor,
    *,
    distance: Literal["cosine", "dot"] = "cosine",
) -> Tensor:
    """``cos(foregrounds) - cos(backgrounds)`` of both views of every pair, ``(B,)``.

    Args:
        tokens1: of the augmented first views, float ``(B, T, D)``.
        tokens2: of the second views.
        direction: ``(D,)``.
        distance: ``"cosine"``, or ``"dot"`` for inner products.

    Raises:
        DataError: shapes that do not fit.
        SettingError: unknown distance.

    Source: Li et al. 2024, arXiv 2403.12003.
    """
    if tokens1.shape != tokens2.shape:
        raise DataError("Both views must have tokens of one shape.")
    if distance not in ("cosine", "dot"):
        raise SettingError(f"distance must be cosine or dot, not {distance!r}.")
    one, two = soft_maps(tokens1, direction), soft_maps(tokens2, direction)
    closeness = torch.cosine_similarity if distance == "cosine" else torch.linalg.vecdot
    return closeness(one.foreground_feature, two.foreground_feature) - closeness(
        one.background_feature, two.background_feature
    )


@torch.no_grad()
def quality_weights(quality: Tensor, gamma: float = 1.0) -> Tensor:
    """``B softmax(gamma q)``: weights of the pairs of a batch, of mean 1, without gradient.

    Multiply the losses of the pairs (any objective with ``reduction="none"``) and take the plain
    mean. gamma = 0 gives ones; a large gamma believes one pair alone.

    Args:
        quality: ``(B,)``, see `pair_quality`.
        gamma: sharpness, at least 0.

    Raises:
        SettingError: negative gamma.

    Source: Li et al. 2024, arXiv 2403.12003.
    """
    if not gamma >= 0:
        raise SettingError(f"gamma must be at least 0, not {gamma}.")
    return len(quality) * (gamma * quality).softmax(0)
