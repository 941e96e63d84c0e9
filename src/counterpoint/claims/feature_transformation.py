"""Positives moved apart make the network indifferent to the view.

Source: Zhu et al., "Improving Contrastive Learning by Visualizing Feature Transformation",
ICCV 2021.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.claims._claim import Claim, Pair, Part, exact
from counterpoint.claims._moco import SETTINGS, TEMPERATURE, no_loss_of_accuracy, trained
from counterpoint.claims._steps import held_out, score
from counterpoint.data import load
from counterpoint.data.dataset import Dataset
from counterpoint.geometry.hardness import pull
from counterpoint.objectives.feature_transformation import (
    TransformationDraws,
    draw_transformation,
    transform,
)
from counterpoint.pairs.mixing import mix_pairs
from counterpoint.probes import KNN
from counterpoint.threads import one_thread

EARLY = 100
POSITIVE_ALPHA, NEGATIVE_ALPHA = 2.0, 1.6
WEIGHTS, SHARES = (1.1, 1.5, 1.9), (0.1, 0.5, 0.8)
ROWS, TOLERANCE, ABOUT = 256, 1e-6, 0.1


def measure(seed: int) -> dict[str, Pair]:
    """Trains with and without the transformation; checks it on the network without."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        digits = load("digits", seed=0)
        on, _ = _trained(POSITIVE_ALPHA, NEGATIVE_ALPHA, digits, seed)
        off, method = _trained(None, None, digits, seed)
        q, k = (z[:ROWS].double() for z in _two_views(method, digits, seed))
        bank = normalize(method.queue.features.double(), dim=1)
        return {
            "invariance": (on["invariance"], off["invariance"]),
            "early": (on["early"], off["early"]),
            "accuracy": (on["knn"], off["knn"]),
            **_positives(normalize(q, dim=1), normalize(k, dim=1), bank),
            **_negatives(normalize(q, dim=1), normalize(k, dim=1), bank, seed),
        }


def _trained(
    positive_alpha: float | None, negative_alpha: float | None, data: Dataset, seed: int
) -> tuple[dict[str, float], Any]:
    method, scores = trained(
        "feature-transformation",
        data,
        partial(_positive_score, torch.Generator().manual_seed(seed)),
        seed,
        positive_alpha=positive_alpha,
        negative_alpha=negative_alpha,
    )
    first, second = _two_views(method, data, seed)
    found = {
        "early": sum(scores[:EARLY]) / EARLY,
        "invariance": float(torch.linalg.vecdot(first, second).mean()),
        "knn": score(method.encoder, data, KNN()),
    }
    return found, method


def _positive_score(
    generator: torch.Generator, method: Any, q: Tensor, k: Tensor, index: Tensor
) -> float:
    """Mean score of the positives as they are contrasted."""
    bank = method.queue.features
    draws = draw_transformation(
        q,
        bank,
        positive_alpha=method.positive_alpha,
        negative_alpha=method.negative_alpha,
        generator=generator,
    )
    q, k, _ = transform(q, k, bank, draws)
    return float(torch.linalg.vecdot(q, k).mean())


@torch.no_grad()
def _two_views(method: Any, data: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """Unit embeddings of two fresh views of the held-out digits, by the trained network."""
    first, second = held_out(method, data, seed).views
    z1, z2 = (normalize(method.head(method.encoder(view)), dim=1) for view in (first, second))
    return z1, z2


def _positives(q: Tensor, k: Tensor, bank: Tensor) -> dict[str, Pair]:
    """What one weight for all pairs does to scores, sums and gradients, the worst of them."""
    s = torch.linalg.vecdot(q, k)
    before = pull(s, q @ bank.T, TEMPERATURE).mean()
    formula, order, sums, rises = [], [], [], []
    for weight in (*WEIGHTS, *SHARES):
        moved_q, moved_k = mix_pairs(q, k, weight)
        moved = torch.linalg.vecdot(moved_q, moved_k)
        formula.append((moved - (s - 2 * weight * (weight - 1) * (1 - s))).abs().max())
        order.append(((moved - s) * (1 if weight > 1 else -1)).max())
        sums.append((moved_q + moved_k - q - k).abs().max())
        if weight > 1:
            rises.append(pull(moved, moved_q @ bank.T, TEMPERATURE).mean() - before)
    return {
        "score": (_worst(formula), TOLERANCE),
        "order": (_worst(order), TOLERANCE),
        "sum": (_worst(sums), TOLERANCE),
        "pull": (float(torch.stack(rises).min()), 0.0),
    }


def _negatives(q: Tensor, k: Tensor, bank: Tensor, seed: int) -> dict[str, Pair]:
    """What interpolation does to mean, lengths and variance of the negative scores."""
    order = torch.randperm(len(bank), generator=torch.Generator().manual_seed(seed))
    before = q @ bank.T
    cosines = torch.linalg.vecdot(bank, bank[order])
    means, lengths, variances = [], [], []
    for share in SHARES:
        draws = TransformationDraws(negative=torch.tensor(share, dtype=torch.float64), order=order)
        _, _, mixed = transform(q, k, bank, draws)
        after = q @ mixed.T
        means.append((after.mean(1) - before.mean(1)).abs().max())
        squared = 1 - 2 * share * (1 - share) * (1 - cosines)
        lengths.append((mixed.square().sum(1) - squared).abs().max())
        expected = share**2 + (1 - share) ** 2
        variances.append(((after.var(1) / before.var(1)).mean() / expected - 1).abs())
    return {
        "negative-mean": (_worst(means), TOLERANCE),
        "negative-length": (_worst(lengths), TOLERANCE),
        "negative-variance": (_worst(variances), ABOUT),
    }


def _worst(found: list[Tensor]) -> float:
    return float(torch.stack(found).max())


ON = f"FT: extrapolated positives, alpha {POSITIVE_ALPHA}; mixed negatives, alpha {NEGATIVE_ALPHA}"
OFF = "MoCo with the same head: nothing transformed, all else equal"
MISMATCH = "largest mismatch"

CLAIM = Claim(
    id="feature-transformation",
    claim="Positives moved apart are harder, and the network becomes more indifferent to the view; "
    "mixed negatives keep their mean score. Accuracy does not suffer.",
    data="digits (8x8): 1,438 to learn from, 359 held out",
    settings={
        **SETTINGS,
        "head": "ends in batch normalisation without weights",
        "alphas": (POSITIVE_ALPHA, NEGATIVE_ALPHA),
        "early": f"the first {EARLY} steps",
        "probe": asdict(KNN()),
        "identities": f"{ROWS} held-out digits, network and queue of MoCo after training, float64",
        "weights": (*WEIGHTS, *SHARES),
        "shares of negatives": SHARES,
        "tolerance": TOLERANCE,
        "tolerance of the variance": ABOUT,
    },
    measure=measure,
    parts=(
        Part(
            id="invariance",
            claim="After training two views of a held-out digit are more similar.",
            method=ON,
            baseline=OFF,
            metric="mean cosine of two fresh views, not transformed",
            refuted_below=0.0,
        ),
        Part(
            id="early",
            claim="Early in training the positives that the loss sees are less similar.",
            method=ON,
            baseline=OFF,
            metric="mean score of positives as they are contrasted",
            direction="lower",
            refuted_below=0.0,
        ),
        no_loss_of_accuracy(ON, OFF),
        exact("score", "The score of a moved pair is s - 2 w (w - 1) (1 - s).", MISMATCH),
        exact(
            "order",
            "Extrapolation never raises a score, interpolation never lowers one.",
            "largest change in the wrong direction",
        ),
        exact("sum", "The sum of a pair is kept.", MISMATCH),
        Part(
            id="pull",
            claim="Extrapolated positives are pulled more strongly.",
            method=f"smallest rise of the mean pull over weights {WEIGHTS}",
            baseline="no rise",
            metric="1 minus the softmax probability of the positive (0 to 1)",
            refuted_below=0.0,
            every_seed=True,
        ),
        exact("negative-mean", "Mixing keeps the mean score of the negatives.", MISMATCH),
        exact(
            "negative-length",
            "The squared length of a mixture is 1 - 2 v (1 - v) (1 - cosine).",
            MISMATCH,
        ),
        exact(
            "negative-variance",
            "The variance of the negative scores shrinks by about v^2 + (1 - v)^2.",
            "largest relative mismatch of the mean over queries",
            "relative difference",
        ),
    ),
)
