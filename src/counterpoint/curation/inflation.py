"""AdaInf: how much generated data to add to real data, and how strongly to augment the mixture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError

GENERATED = -1
"""Label of a generated sample; classifiers and probes must skip it."""


@dataclass(frozen=True)
class Strength:
    """Settings of the usual image augmentation of two views.

    Attributes:
        crop: least area of the random crop.
        jitter_p: probability of colour jitter.
        jitter: brightness, contrast, saturation, hue.
        greyscale_p: probability of greyscale.
        blur_p: probability of blur.
        solarise_p: probability of solarisation.
        flip_p: probability of a flip.

    Source: Wang et al. 2024, Do Generated Data Always Help Contrastive Learning?, arXiv 2403.12448.
    """

    crop: float
    jitter_p: float
    jitter: tuple[float, float, float, float]
    greyscale_p: float = 0.2
    blur_p: float = 0.5
    solarise_p: float = 0.0
    flip_p: float = 0.5


STRONG = Strength(0.08, 0.8, (0.8, 0.8, 0.8, 0.2))
WEAK = Strength(0.2, 0.4, (0.4, 0.4, 0.4, 0.1))
WEAK_FIRST = Strength(0.2, 0.4, (0.4, 0.4, 0.2, 0.1), blur_p=0.0)
WEAK_SECOND = Strength(0.2, 0.4, (0.4, 0.4, 0.2, 0.1), blur_p=0.0, solarise_p=0.2)


def inflated_rows(real: int, generated: int, repeats: int = 10) -> tuple[Tensor, Tensor]:
    """Rows of the inflated set: the real data ``repeats`` times, then the generated data once.

    Every row is a sample of its own: two copies of one image are negatives of each other. Compare
    with the plain set at equal STEPS, not epochs. ``repeats`` weighs one real image against one
    generated one; see `real_share` for the totals.

    Args:
        real: number n of real samples, at least 1.
        generated: number m of generated samples.
        repeats: R, at least 1; 10 in the paper, more loses diversity.

    Returns:
        int64 ``(R n + m,)``, position in the concatenation of real and generated data; bool of the
        same shape, whether the row is generated.

    Raises:
        SettingError: a number out of range.

    Source: Wang et al. 2024, arXiv 2403.12448.
    """
    if real < 1 or generated < 0 or repeats < 1:
        raise SettingError(
            f"An inflated set needs real >= 1, generated >= 0 and repeats >= 1, not {real}, "
            f"{generated}, {repeats}."
        )
    rows = torch.cat([torch.arange(real).repeat(repeats), real + torch.arange(generated)])
    return rows, rows >= real


def inflated_labels(labels: Tensor, generated: int, repeats: int = 10) -> Tensor:
    """Labels of `inflated_rows`: those of the real data, -1 for the generated.

    Args:
        labels: of the real data, int64 ``(n,)``.
        generated: number m.
        repeats: R.

    Source: Wang et al. 2024, arXiv 2403.12448.
    """
    rows, new = inflated_rows(len(labels), generated, repeats)
    return torch.where(new, GENERATED, labels[rows.clamp(max=len(labels) - 1)])


def real_share(real: int, generated: int, repeats: int = 10) -> float:
    """``beta = R n / (R n + m)``: the share of real rows.

    Their distribution lies ``(1 - beta) TV(generated, real)`` from the real one.

    Source: Wang et al. 2024, arXiv 2403.12448.
    """
    rows, _ = inflated_rows(real, generated, repeats)
    return real * repeats / len(rows)


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """``1/2 sum |p - q|`` of two histograms ``(k,)``, each normalised first.

    Raises:
        DataError: negative or empty histograms, or different shapes.

    Source: Wang et al. 2024, arXiv 2403.12448.
    """
    if p.shape != q.shape or bool((p < 0).any() | (q < 0).any()) or not (p.sum() * q.sum() > 0):
        raise DataError("p and q must be histograms of one shape, with non-negative entries.")
    return (p / p.sum() - q / q.sum()).abs().sum() / 2


def disc_overlap(points: Tensor, radius: float) -> Tensor:
    """Shared area of discs about points of the plane: the augmentation graph of uniform noise.

    ``A_ij = 2/pi (acos h - h sqrt(1 - h^2))``, ``h = min(1, d_ij / 2 r)``.

    Args:
        points: ``(n, 2)``.
        radius: r above 0, the strength of the augmentation.

    Returns:
        ``(n, n)``, 1 on the diagonal.

    Source: Wang et al. 2024, arXiv 2403.12448, toy model.
    """
    h = (torch.cdist(points, points) / (2 * radius)).clamp(max=1)
    overlap: Tensor = 2 / torch.pi * (h.acos() - h * (1 - h * h).sqrt())
    return overlap.fill_diagonal_(1.0)


def laplacian_eigenvalue(overlap: Tensor, k: int) -> float:
    """The (k + 1)-th smallest eigenvalue of ``I - D^-1/2 A D^-1/2``.

    It rises with the strength of augmentation and with the number of samples; the bound on the
    probe error holds the labelling error of the augmentation divided by it.

    Args:
        overlap: A, symmetric ``(n, n)``.
        k: width of the features, below n.

    Source: Wang et al. 2024, arXiv 2403.12448.
    """
    root = overlap.sum(1).rsqrt()
    normalised = overlap * root[:, None] * root
    return float(1 - torch.linalg.eigvalsh(normalised).flip(0)[k])
