"""How far the positive stands above the nearest negatives."""

from __future__ import annotations

from typing import Any

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry.inputs import unit_rows
from counterpoint.probes.neighbours import neighbours


def local_separation(z1: Any, z2: Any, top: int = 10) -> dict[str, Any]:
    """Average similarity of an anchor to its positive and to its hardest negatives.

    For each anchor ``z1_i`` the similarities to all ``z2_j``, j != i, are sorted from the largest;
    reported are the means over anchors of the positive ``z1_i . z2_i`` and of the 1st, 2nd, ...
    largest negative.

    Args:
        z1: anchors ``(N, D)``, normalised here.
        z2: their positives ``(N, D)`` in the same order; the others are the negatives.
        top: how many negatives; at most N - 1.

    Returns:
        ``{"positive": float, "negatives": [float] * top}``.

    Raises:
        DataError: shapes differ, fewer than two rows, non-finite values or zero vectors.
        SettingError: ``top`` out of range.

    Source: Wang and Liu, "Understanding the Behaviour of Contrastive Loss", CVPR 2021, Sec. 5.2.
    """
    a, b = unit_rows(z1, "z1").detach(), unit_rows(z2, "z2").detach()
    if a.shape != b.shape:
        raise DataError(
            f"z1 {tuple(a.shape)} and z2 {tuple(b.shape)} must be the two views of the same rows."
        )
    if not 1 <= top < len(a):
        raise SettingError(f"top must lie between 1 and N - 1 = {len(a) - 1}, got {top}.")
    scores, _ = neighbours(a, b, top, exclude_same_row=True)
    return {
        "positive": float((a * b).sum(dim=1).mean()),
        "negatives": scores.mean(axis=0).tolist(),
    }
