"""Learns from rows whose right label is known which other labels are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from counterpoint.probes.inputs import Floats, Ints

TEMPERATURE = 0.1
BLOCK = 2048
STRENGTH = 0.1
"""What an anchor's weight is compared with: that of an anchor at a cosine of 0.77."""

_SMALLEST = 1e-6
_STEPS = 100
_PRIOR_MEAN = np.array([0.0, 0.5, 0.5])
_PRIOR_PRECISION = np.array([1.0, 4.0, 4.0])


@dataclass(frozen=True)
class Anchored:
    """What N labels look like beside clean anchors.

    Attributes:
        wrong: estimated probability that the given label is wrong ``(N,)``.
        other: the most probable other label ``(N,)``.
        share: part of the probability of all other labels that ``other`` has ``(N,)``.
        votes: weight of the anchors that carry ``other`` ``(N,)``; 1 for one equal row.
    """

    wrong: Floats
    other: Ints
    share: Floats
    votes: Floats


def anchored(
    z: Any,
    given: Ints,
    suggested: Ints,
    credibility: Floats,
    confidence: Floats,
    anchors: Ints,
    truth: Ints,
    classes: int,
) -> Anchored:
    """Judges labels by those of clean anchors, on top of what was known of them.

    An anchor j votes on row i with ``w_ij = exp((z_i z_j - 1) / 0.1)``, so

        e_i = log (0.1 + sum_j w_ij [t_j != y_i]) - log (0.1 + sum_j w_ij [t_j = y_i])

    and anchors of the same given and suggested label count as they turned out,

        r_i = log (1 + wrong ones) - log (1 + right ones).

    Then ``logit P(y_i wrong) = logit(1 - credibility_i) + b + c e_i + d r_i``, where b, c and d
    are fitted to the anchors themselves, each without its own part in e and r, under a normal
    prior around (0, 1/2, 1/2). The other label is the one with the largest prior probability times
    ``0.1 / C`` plus its votes.

    Args:
        z: unit rows ``(N, D)``, of any float type, may be on disk.
        given, suggested: classes ``(N,)``.
        credibility: probability that the given label is right ``(N,)``.
        confidence: probability that the suggested label is right ``(N,)``.
        anchors: row numbers ``(M,)``, no row twice.
        truth: right class of each anchor ``(M,)``.
        classes: C.
    """
    known, place = np.unique(truth, return_inverse=True)
    voted = np.zeros((len(anchors), len(known)))
    voted[np.arange(len(anchors)), place] = 1.0
    prior = _priors(given, suggested, credibility, confidence, classes)
    evidence = np.zeros(len(given))
    other, share, votes = suggested.copy(), np.ones(len(given)), np.zeros(len(given))
    clean = np.asarray(z[anchors], dtype=np.float32)
    own = np.full(len(given), -1)
    own[anchors] = np.arange(len(anchors))
    for start in range(0, len(given), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(given)))
        similar = np.asarray(z[rows], dtype=np.float32) @ clean.T
        weight = np.exp((np.clip(np.nan_to_num(similar, nan=-1.0), -1, 1) - 1) / TEMPERATURE)
        itself = own[rows] >= 0
        weight[itself, own[rows][itself]] = 0.0
        shares = weight @ voted
        for_given = np.where(known == given[rows, None], shares, 0.0).sum(axis=1)
        against = shares.sum(axis=1) - for_given
        evidence[rows] = np.log(STRENGTH + against) - np.log(STRENGTH + for_given)
        found = _others(shares, known, given[rows], suggested[rows], prior[:, rows], classes)
        other[rows], share[rows], votes[rows] = found
    wrong_ones, right_ones = _turned_out(given, suggested, anchors, truth)
    seen = np.log1p(wrong_ones) - np.log1p(right_ones)
    before = np.log(np.maximum(1 - credibility, _SMALLEST))
    before -= np.log(np.maximum(credibility, _SMALLEST))
    features = np.stack([np.ones(len(given)), evidence, seen], axis=1)
    weights = _fitted(before[anchors], features[anchors], given[anchors] != truth)
    return Anchored(_logistic(before + features @ weights), other, share, votes)


def _priors(
    given: Ints, suggested: Ints, credibility: Floats, confidence: Floats, classes: int
) -> Floats:
    """Probability of the suggested label where it is another, and of each that is neither."""
    differs = given != suggested
    better = np.where(differs, confidence, 0.0)
    rest = np.maximum(1 - credibility - better, _SMALLEST)
    return np.stack([better, rest / np.maximum(classes - 1 - differs, 1)])


def _others(
    shares: Floats, known: Ints, given: Ints, suggested: Ints, prior: Floats, classes: int
) -> tuple[Ints, Floats, Floats]:
    """The best label but the given one, its share of all of these, and its votes."""
    better, rest = prior
    floor = STRENGTH / classes
    is_suggested = known == suggested[:, None]
    belief = np.where(is_suggested & (better > 0)[:, None], better[:, None], rest[:, None])
    scored = np.where(known == given[:, None], 0.0, belief * (floor + shares))
    at = scored.argmax(axis=1)
    rows = np.arange(len(given))
    unseen = (better > 0) & ~is_suggested.any(axis=1)
    alone = np.where(unseen, better * floor, 0.0)
    hidden = classes - 1 - (known != given[:, None]).sum(axis=1) - unseen
    total = scored.sum(axis=1) + alone + np.maximum(hidden, 0) * rest * floor
    stays = (better > 0) & (unseen & (alone >= scored[rows, at]))
    other = np.where(stays, suggested, known[at])
    best = np.where(stays, alone, scored[rows, at])
    none = best <= 0
    other = np.where(none, suggested, other)
    return other, best / np.maximum(total, 1e-300), np.where(stays | none, 0.0, shares[rows, at])


def _turned_out(given: Ints, suggested: Ints, anchors: Ints, truth: Ints) -> tuple[Floats, Floats]:
    """How many other anchors of the same two labels turned out wrong, and right."""
    pair = np.unique(np.stack([given, suggested], 1), axis=0, return_inverse=True)[1].reshape(-1)
    was_wrong = given[anchors] != truth
    counts: list[Floats] = []
    for kind in (was_wrong, ~was_wrong):
        count = np.bincount(pair[anchors], weights=kind, minlength=int(pair.max()) + 1)[pair]
        count[anchors] -= kind
        counts.append(count.astype(np.float64))
    return counts[0], counts[1]


def _fitted(before: Floats, features: Floats, wrong: Any) -> Floats:
    """The most probable weights: Newton's steps under the largest curvature never overshoot."""
    weights = _PRIOR_MEAN.copy()
    bend = features.T @ features / 4 + np.diag(_PRIOR_PRECISION)
    for _ in range(_STEPS):
        p = _logistic(before + features @ weights)
        slope = features.T @ (p - wrong) + _PRIOR_PRECISION * (weights - _PRIOR_MEAN)
        weights = weights - np.linalg.solve(bend, slope)
    return weights


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))
