"""Few-shot protocol: many small tasks of new classes with a handful of labelled samples each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint.errors import DataError, SettingError, require
from counterpoint.probes.inputs import Floats, Ints, class_labels, features
from counterpoint.probes.opta import standardise, transported_prototypes
from counterpoint.threads import one_library_thread

NORMAL_95 = 1.96
MAX_ITER, TOL = 500, 1e-4


@dataclass(frozen=True)
class FewShot:
    """N-way K-shot episodes: mean accuracy on the queries, with a 95 % interval over episodes.

    An episode draws ``ways`` classes, and of each ``shots`` labelled and ``queries`` unlabelled
    samples. Rows are standardised over their own columns. A logistic regression (penalty
    ``1/2 ||W||_F^2``, weight C of the data) is fitted on one prototype a class: inductive, on the
    mean of the labelled samples; transductive, on that mean carried onto the unlabelled queries,
    see `counterpoint.probes.opta.transported_prototypes`, which knows that all classes have
    equally many. Both see the same episodes.

    Args:
        ways: classes of an episode, at least 2.
        shots: labelled samples a class, at least 1.
        queries: unlabelled samples a class, at least 1.
        episodes: how many, at least 2; 2,000 in the paper.
        C: weight of the data against the penalty, above 0.
        seed: of the episodes.

    Raises:
        SettingError: a setting out of range.

    Source: Vinyals et al. 2016, Matching Networks, arXiv 1606.04080 (episodes);
    Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR, arXiv 2402.02444 (classifier, transport).
    """

    name: ClassVar[str] = "few_shot"
    version: ClassVar[str] = "1"
    ways: int = 5
    shots: int = 1
    queries: int = 15
    episodes: int = 600
    C: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ways < 2 or self.shots < 1 or self.queries < 1 or self.episodes < 2:
            raise SettingError(
                "Need ways >= 2, shots >= 1, queries >= 1 and episodes >= 2; got "
                f"{self.ways}, {self.shots}, {self.queries}, {self.episodes}."
            )
        if not self.C > 0 or self.seed < 0:
            raise SettingError(f"C must be above 0 and seed at least 0; got {self.C}, {self.seed}.")

    def measure(self, z: Any, y: Any) -> dict[str, Any]:
        """Runs all episodes.

        Args:
            z: embeddings ``(N, D)``, finite, numpy or torch; of classes that were not learnt from,
                or at least of samples that were not.
            y: their classes ``(N,)``, whole numbers from 0. Classes with fewer than ``shots +
                queries`` members take no part.

        Returns:
            Plain JSON values: ``{"probe", "version", "settings", "classes", "inductive",
            "transductive", "gain"}``. The last three are ``{"mean", "ci95": [low, high]}`` of the
            accuracies of episodes and of their difference; ``mean -+ 1.96 s / sqrt(episodes)``.

        Raises:
            DataError: bad embeddings or labels, or fewer than ``ways`` classes with enough members.
        """
        rows = features(z, "z")
        labels = class_labels(y, len(rows), "y")
        members = self._members(labels)
        x = standardise(torch.from_numpy(rows)).numpy()
        with one_library_thread():
            scores = np.array([self._score(x, *e) for e in self._episodes(members)])
        plain, moved = scores.T
        return {
            "probe": self.name,
            "version": self.version,
            "settings": asdict(self),
            "classes": len(members),
            "inductive": _interval(plain),
            "transductive": _interval(moved),
            "gain": _interval(moved - plain),
        }

    def _members(self, labels: Ints) -> list[Ints]:
        """Rows of every class that has enough of them."""
        need = self.shots + self.queries
        found = [np.flatnonzero(labels == k) for k in np.unique(labels)]
        enough = [rows for rows in found if len(rows) >= need]
        if len(enough) < self.ways:
            raise DataError(
                f"{len(enough)} of {len(found)} classes have at least {need} samples (shots + "
                f"queries), and an episode needs {self.ways}; lower ways, shots or queries."
            )
        return enough

    def _episodes(self, members: list[Ints]) -> Iterator[tuple[Ints, Ints]]:
        """Labelled rows ``(ways, shots)`` and query rows ``(ways, queries)`` of each episode."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.episodes):
            classes = rng.permutation(len(members))[: self.ways]
            drawn = [rng.permutation(members[k])[: self.shots + self.queries] for k in classes]
            rows = np.stack(drawn)
            yield rows[:, : self.shots], rows[:, self.shots :]

    def _score(self, x: Floats, support: Ints, query: Ints) -> tuple[float, float]:
        """Share of queries classified rightly without and with transport."""
        prototypes, queries = x[support].mean(1), x[query.ravel()]
        moved = transported_prototypes(
            torch.from_numpy(prototypes), torch.from_numpy(queries), shots=self.shots
        )
        truth = np.arange(self.ways).repeat(self.queries)
        return (
            self._accuracy(prototypes, queries, truth),
            self._accuracy(moved.numpy(), queries, truth),
        )

    def _accuracy(self, prototypes: Floats, queries: Floats, truth: Ints) -> float:
        logistic = require("sklearn.linear_model", "probe").LogisticRegression
        model = logistic(C=self.C, max_iter=MAX_ITER, tol=TOL).fit(prototypes, range(self.ways))
        return float((model.predict(queries) == truth).mean())


def _interval(values: NDArray[np.float64]) -> dict[str, Any]:
    mean = float(values.mean())
    half = NORMAL_95 * float(values.std(ddof=1)) / len(values) ** 0.5
    return {"mean": mean, "ci95": [mean - half, mean + half]}
