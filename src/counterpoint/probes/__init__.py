"""Probes of frozen embeddings: what a simple classifier makes of them."""

from counterpoint.probes.knn import KNN
from counterpoint.probes.logistic import Linear, LogisticProbe
from counterpoint.probes.naive_bayes import NaiveBayes, SharedVarianceNaiveBayes
from counterpoint.probes.neighbours import neighbours
from counterpoint.probes.protocol import PROTOCOL, EvaluationProtocol
from counterpoint.probes.two_regimes import two_regimes

__all__ = [
    "KNN",
    "PROTOCOL",
    "EvaluationProtocol",
    "Linear",
    "LogisticProbe",
    "NaiveBayes",
    "SharedVarianceNaiveBayes",
    "neighbours",
    "two_regimes",
]
