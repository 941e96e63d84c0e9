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

PAIR, PLACE, CLASS = 0.5, 0.5, 0.25
"""Variances of what rows of the same two labels, near rows of the same given label, and all rows of
it share; what all rows share has 1."""

_SMALLEST = 1e-6
_STEPS = 50
_SHORTEST = 1e-3
_SETTLED = 1e-4


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

        e_i = log (0.1 + sum_j w_ij [t_j != y_i]) - log (0.1 + sum_j w_ij [t_j = y_i]),

    without its own part in it, and where anchors turn out otherwise than expected, their like do
    so as well, in a Gaussian process: with ``p_j`` the probability in the end that anchor j is
    labelled wrongly,

        logit P(y_i wrong) = x_i + e_i / 2 + sum_j k_ij ([t_j != y_j] - p_j),
        k_ij = 1 + [same given and suggested label] / 2 + [y_i = y_j] (1/4 + w_ij / 2).

    ``x_i`` is what was known, drawn apart: a logistic curve of the rank, fitted to the
    credibilities. These come in steps, hundreds of rows as credible but for a hair, whose order
    would be lost under the weakest evidence. The other label is the one with the largest prior
    probability times ``0.1 / C`` plus its votes.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 3.1.

    Args:
        z: unit rows ``(N, D)``, of any float type, may be on disk.
        given, suggested: classes ``(N,)``.
        credibility: probability that the given label is right ``(N,)``.
        confidence: probability that the suggested label is right ``(N,)``.
        anchors: row numbers ``(M,)``, no row twice.
        truth: right class of each anchor ``(M,)``.
        classes: C.
    """
    known = _Anchors(z, given, suggested, anchors, truth)
    prior = _priors(given, suggested, credibility, confidence, classes)
    odds = _parted(credibility)
    surprise = known.surprise(odds)
    other, share, votes = suggested.copy(), np.ones(len(given)), np.zeros(len(given))
    for start in range(0, len(given), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(given)))
        weight = known.weights(rows)
        shares = known.votes(rows, weight)
        odds[rows] += known.evidence(rows, shares) + known.alike(rows, weight) @ surprise
        found = _others(
            shares, known.classes, given[rows], suggested[rows], prior[:, rows], classes
        )
        other[rows], share[rows], votes[rows] = found
    return Anchored(_logistic(odds), other, share, votes)


class _Anchors:
    """What anchors say of any rows, given as row numbers ``(B,)``."""

    def __init__(self, z: Any, given: Ints, suggested: Ints, rows: Ints, truth: Ints) -> None:
        self.z, self.given, self.rows = z, given, rows
        both = np.stack([given, suggested], axis=1)
        self.pair = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
        self.classes, place = np.unique(truth, return_inverse=True)
        self.voted = np.zeros((len(rows), len(self.classes)))
        self.voted[np.arange(len(rows)), place] = 1.0
        self.wrong = given[rows] != truth
        self.clean = np.asarray(z[rows], dtype=np.float32)

    def weights(self, rows: Ints) -> Floats:
        """``w_ij (B, M)``."""
        cosine = np.asarray(self.z[rows], dtype=np.float32) @ self.clean.T
        cosine = np.clip(np.nan_to_num(cosine, nan=-1.0), -1, 1)
        near: Floats = np.exp((cosine - 1) / TEMPERATURE).astype(np.float64)
        return near

    def votes(self, rows: Ints, weight: Floats) -> Floats:
        """Weight of the anchors of each of ``classes``, the row itself left out ``(B, K)``."""
        others = np.where(rows[:, None] == self.rows, 0.0, weight)
        shares: Floats = others @ self.voted
        return shares

    def evidence(self, rows: Ints, shares: Floats) -> Floats:
        """``e_i / 2 (B,)``."""
        agree = np.where(self.classes == self.given[rows, None], shares, 0.0).sum(axis=1)
        against = shares.sum(axis=1) - agree
        half: Floats = (np.log(STRENGTH + against) - np.log(STRENGTH + agree)) / 2
        return half

    def alike(self, rows: Ints, weight: Floats) -> Floats:
        """``k_ij (B, M)``."""
        pair = self.pair[rows, None] == self.pair[self.rows]
        given = self.given[rows, None] == self.given[self.rows]
        shared: Floats = 1 + PAIR * pair + given * (CLASS + PLACE * weight)
        return shared

    def surprise(self, odds: Floats) -> Floats:
        """By how much each anchor differs from what is expected of it, all being known ``(M,)``."""
        weight = self.weights(self.rows)
        expected = odds[self.rows] + self.evidence(self.rows, self.votes(self.rows, weight))
        return _residuals(expected, self.alike(self.rows, weight), self.wrong)


def _parted(credibility: Floats) -> Floats:
    """Log-odds that labels are wrong: a line in the logit of the rank, fitted to all of them."""
    wrong = (1 - credibility).clip(_SMALLEST, 1 - _SMALLEST)
    _, place, count = np.unique(wrong, return_inverse=True, return_counts=True)
    rank = (count.cumsum() - (count - 1) / 2)[place]
    at = np.log(rank) - np.log(len(wrong) + 1 - rank)
    odds: Floats = np.log(wrong) - np.log1p(-wrong)
    p = wrong
    for _ in range(_STEPS):
        curve = np.maximum(p * (1 - p), _SMALLEST)
        aim = odds + (wrong - p) / curve
        apart = at - np.average(at, weights=curve)
        slope = (curve * apart) @ aim / max(curve @ apart**2, _SMALLEST)
        odds = np.average(aim, weights=curve) + slope * apart
        p = _logistic(odds)
    return odds


def _residuals(expected: Floats, kernel: Floats, wrong: Any) -> Floats:
    """``wrong - p`` where ``logit p = expected + kernel (wrong - p)``: Newton's steps, halved where
    they overshoot.
    """
    found = np.zeros(len(expected))

    def fit(weights: Floats) -> float:
        moved = kernel @ weights
        odds = expected + moved
        return float(wrong @ odds - np.logaddexp(0, odds).sum() - weights @ moved / 2)

    for _ in range(_STEPS):
        moved = kernel @ found
        p = _logistic(expected + moved)
        root = np.sqrt(np.maximum(p * (1 - p), _SMALLEST))
        aim = root**2 * moved + wrong - p
        curved = np.eye(len(root)) + root[:, None] * kernel * root
        step = aim - root * np.linalg.solve(curved, root * (kernel @ aim)) - found
        length = 1.0
        while length > _SHORTEST and fit(found + length * step) < fit(found):
            length /= 2
        found = found + length * step
        if np.abs(length * step).max() < _SETTLED:
            break
    return found


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


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))
