"""Multiclass Gaussian naive Bayes with one shared diagonal variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from counterpoint.errors import DataError, SettingError
from counterpoint.probes.inputs import Floats, Ints, class_labels, features, train_and_test
from counterpoint.probes.scaling import min_max


class SharedVarianceNaiveBayes:
    """Gaussian classes with means of their own and one diagonal variance: a linear classifier.

    With m rows, m_k of class k: prior ``p_k = m_k / m``, mean ``mu_k``, class variance
    ``v_kj = mean_{i in k} (x_ij - mu_kj)^2 + eps`` (divided by m_k), shared variance
    ``s_j = sum_k p_k v_kj`` (divided by m, not m - K),
    ``score_k(x) = log p_k - 1/2 sum_j (x_j - mu_kj)^2 / s_j``, prediction the arg-max, the lowest
    class on a tie. Classes are 0 to the largest label seen; one without a row has prior 0, score
    -inf and is never predicted. Not scikit-learn's GaussianNB, whose variance is one a class and
    whose boundary is quadratic.

    Args:
        eps: variance floor, above 0. The released code's 1e-9 lets a feature that is constant in
            a small training set dominate; take 1e-2 after min-max scaling.

    Attributes:
        counts: rows of each class ``(K,)``.
        means: ``(K, D)``; 0 for a class without a row.

    Source: Zheng et al., "Revisiting Discriminative vs. Generative Classifiers: Theory and
    Implications", ICML 2023.
    """

    counts: Ints
    means: Floats

    def __init__(self, eps: float = 1e-9) -> None:
        if not eps > 0:
            raise SettingError(f"eps must be above 0, got {eps}.")
        self.eps = eps
        self._squares: Floats
        self._forget(0)

    def fit(self, x: Any, y: Any) -> SharedVarianceNaiveBayes:
        """Learns from ``x`` (N, D) and classes ``y`` (N,), forgetting what was learnt before."""
        rows = features(x, "x")
        self._forget(rows.shape[1])
        return self.partial_fit(rows, y)

    def partial_fit(self, x: Any, y: Any) -> SharedVarianceNaiveBayes:
        """Learns from more rows: the result is that of one `fit` on all of them.

        A batch may lack classes, or bring new ones.

        Raises:
            DataError: bad rows or labels, or another number of columns than before.
        """
        rows = features(x, "x")
        labels = class_labels(y, len(rows), "y")
        if not self.counts.any():
            self._forget(rows.shape[1])
        self._expect_columns(rows)
        self._grow(int(labels.max()) + 1)
        for k in np.unique(labels):
            self._add(k, rows[labels == k])
        return self

    @property
    def prior(self) -> Floats:
        """``p_k`` (K,)."""
        return np.asarray(self.counts / max(1, self.counts.sum()))

    @property
    def class_variances(self) -> Floats:
        """``v_kj`` (K, D), ``eps`` included; ``eps`` for a class without a row."""
        return self._squares / np.maximum(1, self.counts)[:, None] + self.eps

    @property
    def shared_variance(self) -> Floats:
        """``s_j`` (D,)."""
        return np.asarray(self.prior @ self.class_variances)

    def linear(self) -> tuple[Floats, Floats]:
        """Weights ``mu_k / s`` (K, D) and biases ``log p_k - 1/2 sum_j mu_kj^2 / s_j`` (K,).

        ``x @ weights.T + biases`` is the score up to a term common to all classes.
        """
        weights = self.means / self.shared_variance
        return weights, self._log_prior() - 0.5 * (weights * self.means).sum(axis=1)

    def log_likelihood(self, x: Any) -> Floats:
        """Log density (N, K) without the prior.

        ``-1/2 sum_j [(x_j - mu_kj)^2 / s_j + log(2 pi s_j)]``; -inf for a class without a row.
        """
        constant = 0.5 * np.log(2 * np.pi * self.shared_variance).sum()
        return np.where(self.counts > 0, -0.5 * self._distances(x) - constant, -np.inf)

    def predict(self, x: Any) -> Ints:
        """Class (N,) of the largest score."""
        best: Ints = self._scores(x).argmax(axis=1)
        return best

    def predict_proba(self, x: Any) -> Floats:
        """Posterior (N, K): softmax of the scores."""
        scores = self._scores(x)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        posterior: Floats = odds / odds.sum(axis=1, keepdims=True)
        return posterior

    def _scores(self, x: Any) -> Floats:
        return self._log_prior() - 0.5 * self._distances(x)

    def _log_prior(self) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log(self.prior)

    def _distances(self, x: Any) -> Floats:
        rows = features(x, "x")
        if not self.counts.any():
            raise DataError("Nothing was learnt yet: call fit or partial_fit first.")
        self._expect_columns(rows)
        scale = np.sqrt(self.shared_variance)
        rows, means = rows / scale, self.means / scale
        return np.stack([np.square(rows - mean).sum(axis=1) for mean in means], axis=1)

    def _forget(self, width: int) -> None:
        self.counts = np.zeros(0, dtype=np.int64)
        self.means = np.zeros((0, width))
        self._squares = np.zeros((0, width))

    def _grow(self, classes: int) -> None:
        more = max(0, classes - len(self.counts))
        self.counts = np.pad(self.counts, (0, more))
        self.means = np.pad(self.means, ((0, more), (0, 0)))
        self._squares = np.pad(self._squares, ((0, more), (0, 0)))

    def _add(self, k: int, rows: Floats) -> None:
        old, new = self.counts[k], len(rows)
        mean = rows.mean(axis=0)
        gap = mean - self.means[k]
        self._squares[k] += np.square(rows - mean).sum(axis=0) + gap**2 * (old * new / (old + new))
        self.means[k] += gap * (new / (old + new))
        self.counts[k] += new

    def _expect_columns(self, rows: Floats) -> None:
        width = self.means.shape[1]
        if rows.shape[1] != width:
            raise DataError(f"x has {rows.shape[1]} columns; the model was fitted on {width}.")


@dataclass(frozen=True)
class NaiveBayes:
    """`SharedVarianceNaiveBayes` on features min-max scaled by the training rows.

    Args:
        eps: variance floor, above 0, in units of the scaled features.

    Source: Zheng et al., ICML 2023 (which takes eps 1e-9; 1e-2 keeps features that are constant in
    a small training set from dominating).
    """

    name: ClassVar[str] = "naive_bayes"
    version: ClassVar[str] = "1"
    eps: float = 1e-2

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise SettingError(f"eps must be above 0, got {self.eps}.")

    def score(self, train_z: Any, train_y: Any, test_z: Any, test_y: Any) -> float:
        """Share of test rows classified rightly; arguments and errors as `KNN.score`."""
        train, y, test, truth = train_and_test(train_z, train_y, test_z, test_y)
        scale = min_max(train)
        model = SharedVarianceNaiveBayes(self.eps).fit(scale(train), y)
        return float((model.predict(scale(test)) == truth).mean())
