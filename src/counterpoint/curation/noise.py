"""Plants wrong labels of known kinds, so that a curator can be put to the test."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from counterpoint.errors import DataError, SettingError, unknown_name
from counterpoint.probes.inputs import Floats, Ints, class_labels, features
from counterpoint.probes.scaling import unit_length

Noise = Literal["uniform", "confusable", "annotator", "instance"]
RIDGE = 0.1
FOLDS = 5
SLOPPY_SHARE = 1 / 3
"""Part of a class that the annotator with the wrong rule has labelled."""


def plant(
    labels: Any, share: float, kind: Noise = "uniform", *, embeddings: Any = None, seed: int = 0
) -> Ints:
    """Changes ``round(share * N)`` labels ("annotator": about as many).

    ``uniform``: rows at random, to another class at random. ``confusable``: rows at random, to
    class c with the frequency at which a cross-validated linear discriminant takes their class
    for it.
    ``annotator``: one of several annotators takes a class for its most confusable one throughout;
    classes at random, until the share is reached. ``instance``: rows with a probability in
    proportion to how near another class comes, to that class.

    Args:
        labels: int ``(N,)``, 0, 1, 2, ...
        share: part to change, in [0, 1).
        kind: see above.
        embeddings: ``(N, D)``; needed for every kind but ``uniform``.
        seed: seed of every choice.

    Returns:
        int64 ``(N,)``.

    Raises:
        SettingError: an unknown kind, or a share out of range.
        DataError: one class only, or no embeddings where they are needed.
    """
    y = class_labels(labels, len(labels), "labels")
    if kind not in get_args(Noise):
        raise unknown_name("kind of noise", kind, get_args(Noise))
    if not 0 <= share < 1:
        raise SettingError(f"share must be at least 0 and below 1; got {share}.")
    classes = int(y.max()) + 1
    if classes < 2:
        raise DataError("labels hold one class only; there is no other one to change to.")
    rng = np.random.default_rng(seed)
    count = round(share * len(y))
    if kind == "uniform":
        rows = rng.permutation(len(y))[:count]
        noisy = y.copy()
        noisy[rows] = (y[rows] + rng.integers(1, classes, count)) % classes
        return noisy
    if embeddings is None:
        raise DataError(f"Noise of the kind {kind!r} depends on the embeddings; give embeddings=.")
    z = features(embeddings, "embeddings")
    scores = class_scores(z, y, classes, rng)
    if kind == "instance":
        return _hard_rows(y, scores, count, rng)
    confusion = _confusion(y, scores)
    if kind == "annotator":
        return _wrong_rule(y, confusion, share, rng)
    rows = rng.permutation(len(y))[:count]
    noisy = y.copy()
    below = confusion[y[rows]].cumsum(axis=1) < rng.random(count)[:, None]
    noisy[rows] = np.minimum(below.sum(axis=1), classes - 1)
    return noisy


def class_scores(z: Floats, y: Ints, classes: int, rng: np.random.Generator) -> Floats:
    """Log-odds ``(N, C)`` of a linear discriminant that never saw the row it scores.

    ``x' S^-1 m_c - m_c' S^-1 m_c / 2 + log pi_c`` with the class means ``m_c`` and the covariance
    ``S`` within classes of the other folds.
    """
    x = unit_length(z - z.mean(axis=0))
    fold = rng.permutation(len(y)) % FOLDS
    scores = np.empty((len(y), classes))
    for held in range(FOLDS):
        learn, judge = fold != held, fold == held
        member = np.eye(classes)[y[learn]]
        size = member.sum(axis=0)
        means = member.T @ x[learn] / np.maximum(size, 1)[:, None]
        rest = x[learn] - means[y[learn]]
        covariance = rest.T @ rest / len(rest)
        ridge = RIDGE * np.trace(covariance) / len(covariance)
        weights = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), means.T)
        prior = np.log(np.maximum(size, 0.5) / size.sum())
        scores[judge] = x[judge] @ weights - (means.T * weights).sum(axis=0) / 2 + prior
    return scores


def _confusion(y: Ints, scores: Floats) -> Floats:
    """How often each class is taken for each other one; rows sum to 1, the diagonal is 0."""
    classes = scores.shape[1]
    counts = np.full((classes, classes), 1e-6)
    np.add.at(counts, (y, scores.argmax(axis=1)), 1.0)
    np.fill_diagonal(counts, 0.0)
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def _wrong_rule(y: Ints, confusion: Floats, share: float, rng: np.random.Generator) -> Ints:
    noisy, target = y.copy(), confusion.argmax(axis=1)
    part = max(SLOPPY_SHARE, share)
    left = round(share * len(y))
    for label in rng.permutation(len(confusion)):
        rows = rng.permutation(np.flatnonzero(y == label))
        taken = rows[: min(left, round(part * len(rows)))]
        noisy[taken] = target[label]
        left -= len(taken)
    return noisy


def _hard_rows(y: Ints, scores: Floats, count: int, rng: np.random.Generator) -> Ints:
    rows = np.arange(len(y))
    others = scores.copy()
    others[rows, y] = -np.inf
    nearest = others.argmax(axis=1)
    gap = scores[rows, y] - others[rows, nearest]
    hardness = 1 / (1 + np.exp(gap.clip(-50, 50)))
    chosen = rng.choice(len(y), size=count, replace=False, p=hardness / hardness.sum())
    noisy = y.copy()
    noisy[chosen] = nearest[chosen]
    return noisy


def plant_marks(marks: Any, share: float, seed: int = 0) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Takes ``round(share * marks)`` marks away and gives as many wrong ones.

    Marks to take are drawn at random; so are the rows to give to, and the classes with the
    frequency at which they are marked.

    Args:
        marks: bool ``(N, C)``, which row carries which class.
        share: part of the marks, in [0, 1).
        seed: seed of every choice.

    Raises:
        SettingError: a share out of range.
    """
    if not 0 <= share < 1:
        raise SettingError(f"share must be at least 0 and below 1; got {share}.")
    rng = np.random.default_rng(seed)
    noisy = np.array(marks, dtype=bool)
    there = np.argwhere(noisy)
    count = round(share * len(there))
    taken = there[rng.permutation(len(there))[:count]]
    weight = noisy.sum(axis=0) * ~noisy.all(axis=0)
    wanted = np.bincount(rng.choice(len(weight), count, p=weight / weight.sum()), minlength=1)
    for label, number in enumerate(wanted.tolist()):
        free = np.flatnonzero(~noisy[:, label])
        noisy[rng.permutation(free)[:number], label] = True
    noisy[tuple(taken.T)] = False
    return noisy
