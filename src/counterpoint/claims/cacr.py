"""Distant positives and close negatives weigh more, each within its own group.

Source: Zheng et al., "Contrastive Attraction and Contrastive Repulsion for Representation
Learning", TMLR 2023.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.claims._claim import Claim, Pair, Part, exact
from counterpoint.claims._long_tail import long_tailed
from counterpoint.claims._steps import ENCODER, build, held_out, score, train
from counterpoint.data import load
from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.methods.base import Codes, Method
from counterpoint.objectives import functional as F
from counterpoint.objectives.cacr import attraction_weights, repulsion_weights
from counterpoint.probes import KNN
from counterpoint.threads import one_thread

STEPS, BATCH, LR = 400, 64, 1e-3
POSITIVES, T_POSITIVE, T_NEGATIVE = 2, 1.0, 2.0
RATIO = 20.0
MORE_POSITIVES, ROWS, TINY = 5, 128, 1e-9
TOLERANCE = 1e-6


def measure(seed: int) -> dict[str, Pair]:
    """Trains with and without weights on all digits and on a long tail; checks the weights."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        digits, tail = load("digits", seed=0), long_tailed(RATIO, seed)
        full, even = (_accuracy(digits, weighted, seed) for weighted in (True, False))
        full_tail, even_tail = (_accuracy(tail, weighted, seed) for weighted in (True, False))
        views = _views(digits, seed)
    attraction, repulsion = _disorder(views)
    return {
        "accuracy": (full, even),
        "accuracy-tail": (full_tail, even_tail),
        "tail-most": (full_tail - even_tail, full - even),
        "attraction": (attraction, TOLERANCE),
        "repulsion": (repulsion, TOLERANCE),
        "uniform": (_mismatch_of_uniform(views), TOLERANCE),
        "two-views": (_mismatch_of_two(views), TOLERANCE),
    }


def _accuracy(data: Dataset, weighted: bool, seed: int) -> float:
    method = build("cacr", seed, positives=POSITIVES, t_positive=T_POSITIVE, t_negative=T_NEGATIVE)
    train(method, data, None if weighted else _even, STEPS, BATCH, LR, seed)
    return score(method.encoder, data, KNN())


def _even(codes: Codes, batch: Batch) -> Tensor:
    return F.cacr(*codes.values(), t_positive=0.0, t_negative=0.0)


def _views(data: Dataset, seed: int) -> list[Tensor]:
    """Unit embeddings of several views of held-out digits after a short training."""
    method: Method = build("cacr", seed, positives=MORE_POSITIVES)
    train(method, data, None, STEPS // 4, BATCH, LR, seed)
    with torch.no_grad():
        codes = method.encode(held_out(method, data, seed))
    return [normalize(z[:ROWS].double(), dim=1) for z in codes.values()]


def _disorder(views: list[Tensor]) -> tuple[float, float]:
    """How far the worst query's rank correlation of distance and weight is from 1 and from -1."""
    others = [[b for number, b in enumerate(views) if number != a] for a in range(len(views))]
    positive = torch.stack(
        [
            torch.stack([_squared(z, other) for other in rest], 1)
            for z, rest in zip(views, others, strict=True)
        ]
    )
    attraction = _rank_correlation(positive, attraction_weights(views, T_POSITIVE))
    first, second = views[:2]
    apart = ~torch.eye(ROWS, dtype=torch.bool)
    negative = torch.cdist(first, second).square()[apart].view(ROWS, -1)
    weights = repulsion_weights(first, second, T_NEGATIVE)[apart].view(ROWS, -1)
    repulsion = _rank_correlation(negative, weights)
    return float((1 - attraction).max()), float((1 + repulsion).max())


def _rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's, of the rows."""
    ranks = [x.argsort(-1).argsort(-1).double() for x in (a, b)]
    first, second = (normalize(r - r.mean(-1, keepdim=True), dim=-1) for r in ranks)
    return (first * second).sum(-1)


def _mismatch_of_uniform(views: list[Tensor]) -> float:
    """Between the loss at vanishing t and the plain means of distances."""
    found = F.cacr(*views, t_positive=TINY, t_negative=TINY)
    pairs = list(combinations(views, 2))
    pull = torch.stack([_squared(a, b).mean() for a, b in pairs]).mean()
    apart = ~torch.eye(ROWS, dtype=torch.bool)
    push = torch.stack([torch.cdist(a, b).square()[apart].mean() for a, b in pairs]).mean()
    return float((found - (pull - push)).abs())


def _mismatch_of_two(views: list[Tensor]) -> float:
    """Between the attraction of two views and their mean distance, row by row."""
    found = F.cacr(*views[:2], t_positive=T_POSITIVE, beta=0.0, reduction="none")
    return float((found - _squared(*views[:2])).abs().max())


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1)


ACCURACY = "kNN accuracy on held-out digits (0 to 1)"
FULL = f"weights with t+ {T_POSITIVE:g} and t- {T_NEGATIVE:g}"
EVEN = "uniform weights (t+ = t- = 0); all else equal"

CLAIM = Claim(
    id="cacr",
    claim="Weighing distant positives and close negatives more gives better embeddings than "
    "weighing all alike, most on imbalanced data.",
    data="digits (8x8): 1,438 to learn from, 359 held out; and a subsample whose rarest class is "
    f"{RATIO:g} times smaller than its most frequent one, held-out digits balanced",
    settings={
        "steps": STEPS,
        "batch": BATCH,
        "optimiser": f"Adam, lr {LR:g}",
        "encoder": ENCODER,
        "views": 1 + POSITIVES,
        "t_positive": T_POSITIVE,
        "t_negative": T_NEGATIVE,
        "probe": asdict(KNN()),
        "identities": f"float64, {ROWS} held-out digits in {1 + MORE_POSITIVES} views after "
        f"{STEPS // 4} steps",
        "vanishing_t": TINY,
        "tolerance": TOLERANCE,
    },
    measure=measure,
    parts=(
        Part(
            id="accuracy",
            claim="With weights embeddings are the more accurate.",
            method=FULL,
            baseline=EVEN,
            metric=ACCURACY,
            refuted_below=-0.02,
        ),
        Part(
            id="accuracy-tail",
            claim="On the long tail too.",
            method=FULL,
            baseline=EVEN,
            metric=f"balanced {ACCURACY}",
            refuted_below=-0.02,
        ),
        Part(
            id="tail-most",
            claim="They gain more on the long tail.",
            method="gain of the weights on the long tail",
            baseline="gain on all digits",
            metric="difference of accuracies",
        ),
        exact(
            "attraction",
            "Among the positives of a query the weight rises with the distance.",
            "1 minus the least rank correlation of distance and weight",
        ),
        exact(
            "repulsion",
            "Among its negatives the weight falls with the distance.",
            "1 plus the largest rank correlation of distance and weight",
        ),
        exact(
            "uniform",
            "As t+ and t- vanish the loss is that of plain means of distances.",
            f"mismatch at t+ = t- = {TINY:g}",
        ),
        exact(
            "two-views",
            "With a single positive the attraction is the plain distance.",
            "largest mismatch over the queries",
        ),
    ),
)
