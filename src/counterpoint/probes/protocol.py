"""The evaluation protocol: every choice that decides a number, in one printable object."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from counterpoint.probes.knn import KNN
from counterpoint.probes.logistic import Linear, LogisticProbe
from counterpoint.probes.naive_bayes import NaiveBayes


@dataclass(frozen=True)
class EvaluationProtocol:
    """How embeddings are evaluated. Equal name, version and settings mean comparable numbers.

    Args:
        name: of the protocol.
        version: raised whenever a number could change.
        knn: weighted nearest neighbours.
        linear: the linear probe.
        naive_bayes: naive Bayes, alone and in the two-regimes curve.
        logistic: the partner of naive Bayes in the curve.
        max_train: most training rows the probes learn from; more are thinned to a random subset.
        max_test: most test rows probes are scored on.
        max_geometry: most test rows the geometry is measured on.
        alignment_alpha: power in alignment.
        uniformity_t: sharpness in uniformity.
        tolerance_over: pairs in tolerance.
        effective_rank_center: whether the effective rank is of centred embeddings.
        histogram_pairs: random pairs a kind in the score histogram.
        histogram_bins: bins of the score histogram.
        curve_repeats: subsets a size in the two-regimes curve; 0 leaves the curve out.
        curve_max_m: largest subset of the curve.
        seed: of every random choice.
    """

    name: str = "counterpoint-eval"
    version: str = "1"
    knn: KNN = field(default_factory=KNN)
    linear: Linear = field(default_factory=Linear)
    naive_bayes: NaiveBayes = field(default_factory=NaiveBayes)
    logistic: LogisticProbe = field(default_factory=LogisticProbe)
    max_train: int = 20_000
    max_test: int = 10_000
    max_geometry: int = 4_096
    alignment_alpha: float = 2.0
    uniformity_t: float = 2.0
    tolerance_over: Literal["same-class", "all"] = "same-class"
    effective_rank_center: bool = False
    histogram_pairs: int = 50_000
    histogram_bins: int = 50
    curve_repeats: int = 3
    curve_max_m: int = 2_000
    seed: int = 0

    def describe(self) -> dict[str, Any]:
        """Every setting as plain JSON values, each probe with its name and version."""
        probes = (self.knn, self.linear, self.naive_bayes, self.logistic)
        return asdict(self) | {
            probe.name: {"version": probe.version, **asdict(probe)} for probe in probes
        }


PROTOCOL = EvaluationProtocol()
