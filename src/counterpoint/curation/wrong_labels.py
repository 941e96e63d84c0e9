"""How many labels are wrong, how likely each one is, and which to flag: without clean data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from counterpoint.errors import require
from counterpoint.probes.inputs import Floats, Ints

SUREST = 0.2
FEWEST_SURE = 5
BINS = 100
SMALLEST = 1e-6
LARGEST_SHARE = 0.9
HAIR = 1e-3
LEAST_WRONG = 0.1
CERTAIN = 1e-3
LARGEST_SHIFT = 5.0
BISECTIONS = 40
PART_ROWS = 65_536
HABIT_CHANCE = 1e-4


def noise_share(probabilities: Floats, labels: Ints) -> float:
    """Share of wrong labels: how often the label differs where the model is surest.

    Of the rows that a class is predicted for, the 20 % with the highest probability (at least 5)
    are taken to be predicted rightly, so that a label that differs there is wrong; classes are
    weighed by how often they are predicted. At least one label of all counts as wrong. Too high
    where even the surest predictions err, too low where mistakes avoid the clear cases.

    Args:
        probabilities: ``(N, C)``, of a model that has not seen the labels.
        labels: ``(N,)``.
    """
    wrong = 0.0
    for label, rows, top in _surest(probabilities):
        wrong += rows * float((labels[top] != label).mean())
    return min(max(wrong, 1.0) / len(labels), LARGEST_SHARE)


def habits(probabilities: Floats, labels: Ints) -> Floats:
    """Pairs of classes that are mistaken as a habit, as one annotator with a wrong rule would.

    Of the surest rows of class a (as in `noise_share`), ``n`` are labelled b; ``e`` would be if
    mistakes fell on every pair of classes alike. ``h_ab = max(0, log(low / e))``, where ``low`` is
    the lowest mean at which ``n - 1`` or more come about with a chance of 1 in 10,000 (Poisson):
    one less than n, since a row that is judged by it may be one of them. Done twice, the second
    time with an ``e`` of the pairs that were no habit.

    Args:
        probabilities: ``(N, C)``, of a model that has not seen the labels.
        labels: ``(N,)``.

    Returns:
        ``(C, C)``; 0 where a is labelled b no more often than chance explains.
    """
    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes))
    for label, _, top in _surest(probabilities):
        counts[label] = np.bincount(labels[top], minlength=classes)
    rows = counts.sum(axis=1)
    np.fill_diagonal(counts, 0.0)
    several = np.nonzero(counts > 1)
    seen, total = counts[several], rows[several[0]]
    low = require("scipy.special", "probe").gammaincinv(seen - 1, HABIT_CHANCE)
    excess: Floats = np.zeros(len(seen))
    for _ in range(2):
        usual = excess > 0
        mistakes = counts.sum() - seen[usual].sum()
        chances = rows.sum() * (classes - 1) - total[usual].sum()
        expected = total * max(mistakes, 1.0) / max(chances, 1.0)
        excess = np.log(low / expected).clip(0.0)
    found = np.zeros((classes, classes))
    found[several] = excess
    return found


def _surest(probabilities: Floats) -> Iterator[tuple[int, int, Ints]]:
    """Every predicted class, how many rows it is predicted for, and the surest of them."""
    predicted = probabilities.argmax(axis=1)
    for label in np.unique(predicted).tolist():
        rows = np.flatnonzero(predicted == label)
        sure = max(FEWEST_SURE, round(SUREST * len(rows)))
        order = np.argsort(-probabilities[rows, label], kind="stable")
        yield label, len(rows), rows[order[:sure]]


def log_margins(probabilities: Floats, habit: Floats | None = None) -> Floats:
    """``log p(c) - max_{c' != c} (log p(c') + h_c'c)`` of every label c a row could carry.

    Args:
        probabilities: ``(N, C)``.
        habit: ``h``, as of `habits`, ``(C, C)``; None for 0.

    Returns:
        ``(N, C)``.
    """
    logs = np.log(probabilities + SMALLEST)
    top = np.sort(logs, axis=1)[:, -2:]
    first = logs == top[:, 1:]
    rival = np.where(first, top[:, :1], top[:, 1:])
    if habit is not None:
        for true, taken in np.argwhere(habit > 0):
            np.maximum(rival[:, taken], logs[:, true] + habit[true, taken], out=rival[:, taken])
    gap: Floats = logs - rival
    return gap


def given_margins(probabilities: Floats, labels: Ints, habit: Floats | None = None) -> Floats:
    """The `log_margins` of the given labels alone, ``(N,)``."""
    margins = np.empty(len(labels))
    for part in _parts(len(labels)):
        own = labels[part]
        margins[part] = log_margins(probabilities[part], habit)[np.arange(len(own)), own]
    return margins


def probability_wrong(
    probabilities: Floats, labels: Ints, share: float, habit: Floats | None = None
) -> Floats:
    """``P(wrong | s_i) = share * g(s_i) / f(s_i)``, made to fall with the margin s.

    ``f`` is the distribution of the margins of the given labels. ``g`` is that of wrong labels: it
    is known without clean data, since every row can be given wrong labels, each with the frequency
    at which the model takes the row's class for it, and the model has seen none of them. One
    factor on all odds then makes the mean equal to ``share``.

    Args:
        probabilities: ``(N, C)``, of a model that has not seen the labels.
        labels: ``(N,)``.
        share: share of wrong labels, as of `noise_share`.
        habit: as of `habits`; None for none.

    Returns:
        ``(N,)`` in [0, 1].
    """
    given = given_margins(probabilities, labels, habit)
    confused = _confusion(probabilities, labels)
    edges = np.unique(np.quantile(given, np.linspace(0, 1, min(BINS, len(given)) + 1)))
    inner = edges[1:-1]
    bins = len(inner) + 1
    place = np.searchsorted(inner, given, side="right")
    observed = np.bincount(place, minlength=bins)
    planted = np.zeros(bins)
    for part in _parts(len(labels)):
        margins = log_margins(probabilities[part], habit).ravel()
        weights = confused[labels[part]].ravel()
        planted += np.bincount(np.searchsorted(inner, margins, side="right"), weights, bins)
    ratio = share * planted / np.maximum(observed, 1)
    isotonic = require("sklearn.isotonic", "probe").IsotonicRegression
    falling = isotonic(y_min=0.0, y_max=1.0, increasing=False)
    fitted = falling.fit_transform(np.arange(bins), ratio, sample_weight=observed)
    centre = np.bincount(place, weights=given, minlength=bins) / np.maximum(observed, 1)
    return _strict(_adding_up(np.interp(given, centre, fitted), share), given)


def _adding_up(wrong: Floats, share: float) -> Floats:
    """The odds all multiplied by one factor, so that the mean is ``share``.

    Mistakes that are likelier than planted ones (one class always taken for another) lie where
    ``g`` is thin, and leave the sum short.
    """
    odds = np.log(wrong.clip(CERTAIN, 1 - CERTAIN)) - np.log1p(-wrong.clip(CERTAIN, 1 - CERTAIN))
    low, high = -LARGEST_SHIFT, LARGEST_SHIFT
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-odds - middle))).mean() < share:
            low = middle
        else:
            high = middle
    shifted: Floats = 1 / (1 + np.exp(-odds - low))
    return shifted


def _strict(wrong: Floats, margin: Floats) -> Floats:
    """Equal probabilities parted by a hair, the lower margin the more likely wrong."""
    order = np.unique(margin, return_inverse=True)[1].reshape(-1)
    above: Floats = (1 - HAIR) * wrong + HAIR * (1 - order / max(order.max(), 1))
    return above


def _parts(count: int) -> Iterator[slice]:
    """Rows whose margins of all classes are held at once."""
    for start in range(0, count, PART_ROWS):
        yield slice(start, start + PART_ROWS)


def _confusion(probabilities: Floats, labels: Ints) -> Floats:
    classes = probabilities.shape[1]
    counts = np.full((classes, classes), 1e-3)
    np.add.at(counts, labels, probabilities)
    np.fill_diagonal(counts, 0.0)
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def flag(wrong: Floats, margin: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Flags the k rows most likely wrong, k chosen for the highest expected F1.

    ``E[F1(k)] = 2 sum_{i <= k} P(wrong_i) / (k + sum_i P(wrong_i))``. A row that is right nine
    times in ten is not flagged whatever the others are.

    Args:
        wrong: ``(N,)``, probability that the label is wrong.
        margin: ``(N,)``, decides between equal probabilities, the lowest first.
    """
    order = np.lexsort((margin, -wrong))
    total = wrong.sum()
    flagged = np.zeros(len(wrong), dtype=bool)
    if total > 0:
        hits = np.cumsum(wrong[order])
        f1 = 2 * hits / (np.arange(1, len(wrong) + 1) + total)
        flagged[order[: int(f1.argmax()) + 1]] = True
    return flagged & (wrong >= LEAST_WRONG)
