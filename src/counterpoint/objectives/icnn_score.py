"""ICNN: how much of its neighbourhood a point shares with its class, and how near it is."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers, prepare
from counterpoint.engine.row_function import row_losses
from counterpoint.errors import DataError, SettingError

DISTANCE_EPS = 1e-6
EPS = 1e-7
ORIGINAL_EPS = 1e-6


def distances(a: Tensor, b: Tensor) -> Tensor:
    """``sqrt(sum_c (a_c - b_c)^2 + 1e-6)`` over the last dimension of a broadcast pair."""
    return ((a - b).square().sum(-1) + DISTANCE_EPS).sqrt()


def icnn_score(
    x: Tensor,
    y: Tensor,
    among: Tensor | None = None,
    among_labels: Tensor | None = None,
    *,
    k: int = 4,
    neighbours: int | None = None,
    drop_first: bool = True,
    variance: bool = False,
) -> Tensor:
    """The current ("modified") score in (0, 1]: 1 where neighbours share the class and lie close.

    Of the ``neighbours`` nearest (``drop_first`` leaves out the very first, the point itself),
    with distances D, ``s`` 1 for the same class, u the nearest of another class (infinite if none):
    over the first k, ``r = D / (u + 1e-7)``, divided by its row maximum where that exceeds 1::

        same   = 1 - mean over points with a neighbour of their class of (mean r of those)
        other  = mean over points with another-class neighbour of (sum of D / max D of those
                 over their number); 1 if there is no such neighbour anywhere
        score  = ((same + other) / 2 + share of the k neighbours of the same class) / 2

    The share counts 1 if ``k + 2 < M`` does not hold; k is then M - 2. Gradients flow through D, u
    and both maxima. Embeddings are taken as they are; unchanged by shifts and rotations.

    Args:
        x: points ``(N, D)``.
        y: labels ``(N,)``.
        among: where neighbours are sought ``(M, D)``; None for x.
        among_labels: ``(M,)``.
        k: neighbours scored.
        neighbours: neighbours sought; None for k + 1. S + Q for support and queries pooled.
        drop_first: leave out the nearest, also against other points, as the authors' code does.
        variance: average with ``1 - Var(s r) - Var((1 - s) D / max D)``, which the code left out.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, fewer than 3 points to search, NaN, infinity.
        SettingError: k or neighbours out of range.

    Source: Mendez-Ruiz et al., "SuSana Distancia is all you need", arXiv 2305.09062, released code.
    """
    x, y, among, among_labels = _inputs(x, y, among, among_labels)
    m = len(among)
    if m < 3:
        raise DataError(f"There must be at least 3 points to search, got {m}.")
    few = k + 2 >= m
    k = m - 2 if few else k
    wanted = k + 1 if neighbours is None else neighbours
    if k < 1 or wanted < 1 or wanted + drop_first > m:
        raise SettingError(
            f"{wanted} neighbours (and {int(drop_first)} left out) of {m} points with k = {k}: "
            "all must be at least 1, and there must be so many points."
        )
    found = nearest(x, among, wanted + drop_first)[:, int(drop_first) :]
    d = distances(x[:, None], among[found])
    same = among_labels[found] == y[:, None]
    nearest_other = d.masked_fill(same, torch.inf).amin(1, keepdim=True)
    d, same = d[:, :k], same[:, :k]
    r = d / (nearest_other + EPS)
    r = r / r.amax(1, keepdim=True).clamp(min=1)
    friends, others = same.sum(1).to(d), (~same).sum(1).to(d)
    near = (r * same).sum(1) / (friends + EPS)
    lam_same = 1 - near.sum() / ((friends > 0).sum().to(d) + EPS)
    e = d * ~same
    e = e / (e.max() + EPS)
    lam_other = (e.sum(1) / (others + EPS)).sum() / ((others > 0).sum().to(d) + EPS)
    if not bool((others > 0).any()):
        lam_other = (lam_other - 1).abs()
    share = d.new_ones(()) if few else friends.mean() / k
    score = ((lam_same + lam_other) / 2 + share) / 2
    if variance:
        omega = 1 - (r * same).var() - e.var()
        score = (2 * score + omega) / 3
    return score


def icnn_original(
    x: Tensor,
    y: Tensor,
    *,
    k: int = 5,
    p: float = 2.0,
    q: float = 2.0,
    r: float = 2.0,
    variance: bool = False,
) -> Tensor:
    """The score as first defined: ``(lambda + gamma) / 2``.

    With distances of the k nearest scaled to [0, 1] in each row, ``n``, and ``s`` as in
    `icnn_score`: ``l_i = sum_j s n' + (1 - s) n``, ``n' = 1 - n``; ``lambda = mean (l_i / max l)^
    (1/p)``, ``gamma = mean (c_i / k)^(1/r)`` of the share of the class.

    Args:
        x: points ``(N, D)``.
        y: labels ``(N,)``.
        k: neighbours; 3 if there are not more than k points.
        p: root of lambda.
        q: root of omega.
        r: root of gamma.
        variance: the full score ``(lambda + gamma + omega) / 3`` with ``omega =
            (1 - Var(s n) - Var((1 - s) n))^(1/q)``.

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, fewer than 4 points, NaN, infinity.
        SettingError: k or a root out of range.

    Source: Garcia-Ramirez et al., arXiv 2107.06992, "Independent correlation nearest neighbours"
    as in the released code.
    """
    if k < 1 or min(p, q, r) <= 0:
        raise SettingError(f"k must be at least 1 and roots above 0: {k}, {p}, {q}, {r}.")
    x, y, among, labels = _inputs(x, y, None, None)
    k = 3 if k >= len(x) else k
    if k + 1 > len(x):
        raise DataError(f"{k} neighbours need {k + 1} points, got {len(x)}.")
    found = nearest(x, among, k + 1)[:, 1:]
    d = distances(x[:, None], among[found])
    same = labels[found] == y[:, None]
    low, high = d.amin(1, keepdim=True), d.amax(1, keepdim=True)
    n = (d - low) / (high - low + ORIGINAL_EPS)
    level = torch.where(same, 1 - n, n).sum(1)
    lam = (level / (level.max() + ORIGINAL_EPS)).pow(1 / p).mean()
    gamma = (same.sum(1).to(d) / k).pow(1 / r).mean()
    if not variance:
        return (lam + gamma) / 2
    omega = (1 - (n * same).var() - (n * ~same).var()).pow(1 / q)
    return (lam + gamma + omega) / 3


@torch.no_grad()
def nearest(x: Tensor, among: Tensor, count: int) -> Tensor:
    """The ``count`` nearest of ``among`` to every point, nearest first, int64 ``(N, count)``.

    Args:
        x: ``(N, D)``.
        among: ``(M, D)``.
        count: at most M.
    """
    middle = among.mean(0)
    a, b = x - middle, among - middle
    half = 0.5 * b.square().sum(1)

    def order(products: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (products - half).topk(count, dim=1).indices

    return row_losses(order, a, b, a.new_ones(()))


def _inputs(
    x: Tensor, y: Tensor, among: Tensor | None, among_labels: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if among is None:
        (x,) = prepare(False, x=x)
        y = check_integers("labels", y, len(x))
        return x, y, x, y
    if among_labels is None:
        raise DataError("among needs its labels, among_labels=.")
    x, among = prepare(False, x=x, among=among)
    y = check_integers("labels", y, len(x))
    return x, y, among, check_integers("among_labels", among_labels, len(among))
