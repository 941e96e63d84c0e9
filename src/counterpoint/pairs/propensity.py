"""Pairs of sentences freed from surface bias: inverse propensity weights (DebCSE)."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError


def surface_similarity(
    a: set[int] | set[str], b: set[int] | set[str], sizes: tuple[int, int]
) -> float:
    """Mean of Dice of the token sets and of the ratio of lengths, in [0, 1].

    ``(2 |A n B| / (|A| + |B|) + min(l) / max(l)) / 2``; an empty pair gives 0.

    Args:
        a: lower-cased tokens of one text, truncated as for the encoder.
        b: of the other.
        sizes: numbers of tokens.

    Source: reconstructed for Miao et al., "DebCSE", CIKM 2023, arXiv 2309.07396.
    """
    dice = 2 * len(set(a) & set(b)) / (len(a) + len(b)) if a or b else 0.0
    ratio = min(sizes) / max(sizes) if max(sizes) else 0.0
    return (dice + ratio) / 2


def propensity(
    surface: Tensor, rule: Tensor, candidates: Tensor, *, bins: int = 20, lowest: float = 0.01
) -> Tensor:
    """How likely the simple rule uses a pair of such surface similarity.

    Of its bin, ``(pairs of the rule + 1) / (candidate pairs + bins)``, kept in [lowest, 1]; the bin
    is ``min(floor(a bins), bins - 1)``.

    Args:
        surface: of the pairs asked for, in [0, 1], any shape.
        rule: surface of the pairs the rule chose ``(R,)``.
        candidates: surface of all candidate pairs, those of the rule included ``(P,)``.
        bins: J, at least 1.
        lowest: in (0, 1].

    Returns:
        of the shape of ``surface``.

    Raises:
        DataError: a similarity outside [0, 1].
        SettingError: bins or lowest out of range.

    Source: reconstructed for Miao et al., "DebCSE", CIKM 2023, arXiv 2309.07396; no code of the
    authors is known.
    """
    if bins < 1 or not 0 < lowest <= 1:
        raise SettingError(f"bins must be at least 1 and lowest in (0, 1]: {bins}, {lowest}.")
    for name, x in (("surface", surface), ("rule", rule), ("candidates", candidates)):
        if not bool(((x >= 0) & (x <= 1)).all()):
            raise DataError(f"{name} must lie in [0, 1].")

    def place(x: Tensor) -> Tensor:
        return (x * bins).long().clamp(max=bins - 1)

    chosen, all_pairs = (torch.bincount(place(x), minlength=bins) for x in (rule, candidates))
    share = (chosen + 1).to(surface) / (all_pairs + bins).to(surface)
    found: Tensor = share[place(surface)].clamp(lowest, 1)
    return found


def inverse_propensity_weights(
    semantic: Tensor,
    propensities: Tensor,
    eligible: Tensor,
    *,
    kappa: float = 1.0,
    alpha: float = 1.0,
    clip: float = 0.99,
) -> Tensor:
    """``[eligible] b^kappa / pi^alpha``, clipped at a quantile of all, to sum 1 in each row.

    For positives b is the semantic similarity, eligible ``b >= b+``; for negatives pass ``1 - b``
    and ``b <= b-``. alpha 0 ignores the surface; 1 may overshoot, so take the alpha whose balance
    is best. Draw with `counterpoint.pairs.draws.draw_places`.

    Args:
        semantic: b of each anchor and pool entry, in [0, 1], ``(N, P)``.
        propensities: pi, above 0, ``(N, P)``.
        eligible: bool ``(N, P)``.
        kappa: at least 0.
        alpha: in [0, 1].
        clip: quantile of the positive weights of the corpus, in (0, 1].

    Returns:
        ``(N, P)``; a row without eligible entries is 0 everywhere: fall back to the copy of the
        sentence, or for negatives to random ones.

    Raises:
        DataError: shapes that differ, a propensity not above 0.
        SettingError: a setting out of range.

    Source: reconstructed for Miao et al., "DebCSE", CIKM 2023, arXiv 2309.07396.
    """
    if kappa < 0 or not 0 <= alpha <= 1 or not 0 < clip <= 1:
        raise SettingError(f"kappa, alpha or clip is out of range: {kappa}, {alpha}, {clip}.")
    if not semantic.shape == propensities.shape == eligible.shape or semantic.dim() != 2:
        raise DataError("semantic, propensities and eligible must be (N, P) alike.")
    if not bool((propensities > 0).all()):
        raise DataError("Propensities must be above 0.")
    w = (semantic.clamp(0, 1) ** kappa / propensities**alpha).where(eligible, 0.0)
    positive = w[w > 0]
    if len(positive):
        w = w.clamp(max=float(positive.sort().values[_rank(clip, len(positive))]))
    total = w.sum(1, keepdim=True)
    return (w / total).where(total > 0, 0.0)


def _rank(quantile: float, count: int) -> int:
    return min(int(quantile * count), count - 1)


def effective_size(weights: Tensor) -> Tensor:
    """``(sum w)^2 / sum w^2`` of each row, the number of entries that really count; 0 if none.

    Args:
        weights: at least 0, ``(N, P)``.

    Source: Kish 1965; used for Miao et al., "DebCSE", CIKM 2023, arXiv 2309.07396.
    """
    squares = weights.square().sum(1)
    return (weights.sum(1).square() / squares.where(squares > 0, 1.0)).where(squares > 0, 0.0)
