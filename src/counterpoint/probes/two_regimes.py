"""Naive Bayes against logistic regression as the number of labels grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from counterpoint.errors import SettingError
from counterpoint.probes.inputs import Ints, train_and_test
from counterpoint.probes.logistic import LogisticProbe
from counterpoint.probes.naive_bayes import NaiveBayes

_REDRAWS = 10_000
_MULTIPLES = (3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def two_regimes(
    train_z: Any,
    train_y: Any,
    test_z: Any,
    test_y: Any,
    grid: Sequence[int] | None = None,
    repeats: int = 5,
    seed: int = 0,
    max_m: int | None = None,
    naive_bayes: NaiveBayes | None = None,
    logistic: LogisticProbe | None = None,
) -> dict[str, Any]:
    """Test errors of both probes on the same random training subsets, against their size m.

    For each m and repeat, m training rows are drawn uniformly without replacement, anew until no
    class is missing; both probes learn from those rows and are scored on all test rows. With few
    labels naive Bayes tends to win, with many logistic regression: the crossing m* is where their
    mean errors cross.

    Args:
        train_z: embeddings ``(N, D)``, finite.
        train_y: their classes ``(N,)``, whole numbers from 0.
        test_z: embeddings ``(M, D)``.
        test_y: their classes ``(M,)``.
        grid: subset sizes, each between the number of classes and N; None takes 3, 5, 10, 20, 50,
            ... 5000 times the number of classes, as far as ``max_m`` goes.
        repeats: subsets a size.
        seed: of the draws; the subsets depend on it, the labels and the grid alone, so that two
            encoders are compared on the same rows.
        max_m: largest size taken when ``grid`` is None; by default N.
        naive_bayes: the probe and its settings, by default ``NaiveBayes()``.
        logistic: the other, by default ``LogisticProbe()``.

    Returns:
        ``{"m": sizes, "naive_bayes": {"mean", "std"}, "logistic": {"mean", "std"}, "crossing": m*
        or None, "skipped": sizes for which no complete subset turned up in 10,000 draws, "repeats",
        "seed", "eps", "C"}``. Means and standard deviations (over repeats, divided by repeats - 1;
        0 for one) are lists in the order of ``m``. m* is interpolated linearly in log m between the
        last size at which naive Bayes has the lower mean error and the next; None if it never has,
        or has it at the largest size.

    Raises:
        DataError: bad embeddings or labels.
        SettingError: a grid size out of range, or ``repeats`` below 1.

    Source: Zheng et al., "Revisiting Discriminative vs. Generative Classifiers: Theory and
    Implications", ICML 2023.
    """
    train, y, test, truth = train_and_test(train_z, train_y, test_z, test_y)
    classes = len(np.unique(y))
    sizes = _sizes(grid, classes, len(y), max_m)
    if repeats < 1:
        raise SettingError(f"repeats must be at least 1, got {repeats}.")
    nb, lr = naive_bayes or NaiveBayes(), logistic or LogisticProbe()
    done, skipped, errors = [], [], []
    for m in sizes:
        subsets = _subsets(y, classes, m, repeats, np.random.default_rng([seed, m]))
        if subsets is None:
            skipped.append(m)
            continue
        done.append(m)
        errors.append(
            [
                [1 - probe.score(train[rows], y[rows], test, truth) for rows in subsets]
                for probe in (nb, lr)
            ]
        )
    table = np.asarray(errors).reshape(len(done), 2, repeats)
    mean = table.mean(axis=2)
    spread = table.std(axis=2, ddof=1) if repeats > 1 else np.zeros_like(mean)
    return {
        "m": done,
        "naive_bayes": {"mean": mean[:, 0].tolist(), "std": spread[:, 0].tolist()},
        "logistic": {"mean": mean[:, 1].tolist(), "std": spread[:, 1].tolist()},
        "crossing": _crossing(done, (mean[:, 0] - mean[:, 1]).tolist()),
        "skipped": skipped,
        "repeats": repeats,
        "seed": seed,
        "eps": nb.eps,
        "C": lr.C,
    }


def _sizes(grid: Sequence[int] | None, classes: int, rows: int, max_m: int | None) -> list[int]:
    if grid is None:
        most = min(rows, max_m or rows)
        return [k * classes for k in _MULTIPLES if k * classes <= most] or [most]
    wrong = [m for m in grid if not classes <= m <= rows]
    if wrong or not grid:
        raise SettingError(
            f"grid must hold sizes between the {classes} classes and the {rows} training rows; "
            f"got {wrong or 'none'}."
        )
    return sorted(set(grid))


def _subsets(
    y: Ints, classes: int, m: int, repeats: int, generator: np.random.Generator
) -> list[Ints] | None:
    found: list[Ints] = []
    for _ in range(_REDRAWS):
        rows = generator.choice(len(y), m, replace=False)
        if len(np.unique(y[rows])) == classes:
            found.append(rows)
            if len(found) == repeats:
                return found
    return None


def _crossing(sizes: list[int], gap: list[float]) -> float | None:
    better = [i for i, value in enumerate(gap) if value < 0]
    if not better or better[-1] == len(gap) - 1:
        return None
    i = better[-1]
    share = gap[i] / (gap[i] - gap[i + 1])
    return math.exp((1 - share) * math.log(sizes[i]) + share * math.log(sizes[i + 1]))
