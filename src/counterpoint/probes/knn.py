"""Weighted nearest neighbours on frozen embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from counterpoint.errors import DataError, SettingError
from counterpoint.probes.inputs import Floats, Ints, class_labels, features, train_and_test
from counterpoint.probes.neighbours import neighbours


@dataclass(frozen=True)
class KNN:
    """Votes of the ``k`` most similar training rows, each weighing ``exp(cosine / temperature)``.

    Ties of votes go to the lowest class. With fewer than ``k`` training rows all of them vote.

    Args:
        k: number of neighbours, at least 1.
        temperature: divides the cosine, above 0; 0.07 is the usual value.

    Source: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
    CVPR 2018, Sec. 3.4.
    """

    name: ClassVar[str] = "knn"
    version: ClassVar[str] = "1"
    k: int = 20
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.k < 1 or not self.temperature > 0:
            raise SettingError(
                f"KNN needs k >= 1 and temperature > 0, got {self.k} and {self.temperature}."
            )

    def predict(self, train_z: Any, train_y: Any, test_z: Any) -> Ints:
        """Class ``(M,)`` of each row of ``test_z`` (M, D), learnt from ``train_z`` (N, D)."""
        train = features(train_z, "train_z")
        y = class_labels(train_y, len(train), "train_y")
        scores, found = neighbours(test_z, train, min(self.k, len(train)))
        return self._vote(scores.astype(np.float64), y[found])

    def score(self, train_z: Any, train_y: Any, test_z: Any, test_y: Any) -> float:
        """Share of test rows classified rightly.

        Args:
            train_z: embeddings ``(N, D)``, finite.
            train_y: their classes ``(N,)``, whole numbers from 0.
            test_z: embeddings ``(M, D)``.
            test_y: their classes ``(M,)``.

        Raises:
            DataError: bad embeddings or labels, or one training class only.
        """
        train, y, test, truth = train_and_test(train_z, train_y, test_z, test_y)
        return float((self.predict(train, y, test) == truth).mean())

    def score_within(self, z: Any, y: Any) -> float:
        """Share of rows of ``z`` (N, D) classified rightly by the others: a row never votes on
        itself.

        Raises:
            DataError: bad embeddings or labels, or fewer than two rows.
        """
        rows = features(z, "z")
        if len(rows) < 2:
            raise DataError("z has one row; it has no other row to be classified by.")
        truth = class_labels(y, len(rows), "y")
        scores, found = neighbours(rows, rows, min(self.k, len(rows) - 1), exclude_same_row=True)
        return float((self._vote(scores.astype(np.float64), truth[found]) == truth).mean())

    def _vote(self, scores: Floats, labels: Ints) -> Ints:
        weights = np.exp((scores - scores.max(axis=1, keepdims=True)) / self.temperature)
        votes = np.zeros((len(scores), int(labels.max()) + 1))
        np.add.at(votes, (np.arange(len(scores))[:, None], labels), weights)
        winners: Ints = votes.argmax(axis=1)
        return winners
