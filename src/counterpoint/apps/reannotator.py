"""Reannotation in the style of scikit-learn, and of cleanlab."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from counterpoint.curation.judge import Judge, Judgement
from counterpoint.data.classes import class_name
from counterpoint.errors import DataError
from counterpoint.probes.inputs import Floats


class Reannotator:
    """Judges labels by embeddings; `fit`, then read what was found, or `predict` new rows.

    Args:
        **settings: as of `counterpoint.curation.judge.Judge`.

    Attributes:
        classes_: the labels there are, sorted.
        credibility_: probability that each label is right ``(N,)``.
        flagged_: bool ``(N,)``.
        suggested_: the given label, or another where it is flagged ``(N,)``.
        confidence_: probability that the suggested label is right ``(N,)``.
        noise_share_: estimated share of wrong labels.
    """

    def __init__(self, **settings: Any) -> None:
        self.judge = Judge(**settings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name."""
        return {name: getattr(self.judge, name) for name in Judge.__dataclass_fields__}

    def set_params(self, **settings: Any) -> Self:
        """Changes some settings."""
        self.judge = Judge(**{**self.get_params(), **settings})
        return self

    def fit(self, X: Any, y: Any) -> Self:
        """Judges the labels ``y`` ``(N,)`` of the embeddings ``X`` ``(N, D)``.

        Raises:
            DataError: embeddings or labels that do not fit, are missing, or are too few.
        """
        classes, coded = _coded(y, len(X))
        self.classes_ = classes
        self.judgement_: Judgement = self.judge.judge(X, coded)
        self.credibility_ = self.judgement_.credibility
        self.flagged_ = self.judgement_.flagged
        self.suggested_ = classes[self.judgement_.suggested]
        self.confidence_ = self.judgement_.confidence
        self.noise_share_ = self.judgement_.noise_share
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Calibrated class probabilities ``(M, C)`` of new rows ``(M, D)``."""
        if not hasattr(self, "judgement_"):
            raise DataError("This Reannotator has not been fitted; call fit(X, y) first.")
        return self.judgement_.predict(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each new row ``(M, D)``."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels


def find_label_issues(labels: Any, embeddings: Any, **settings: Any) -> NDArray[np.int64]:
    """Rows whose label is probably wrong, worst first, int64.

    Args:
        labels: N labels of any one type.
        embeddings: ``(N, D)``.
        **settings: as of `counterpoint.curation.judge.Judge`.
    """
    found = Reannotator(**settings).fit(embeddings, labels)
    rows = np.flatnonzero(found.flagged_)
    worst: NDArray[np.int64] = rows[np.argsort(found.credibility_[rows], kind="stable")]
    return worst


def _coded(y: Any, count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    values = np.asarray(y)
    if values.shape != (count,):
        raise DataError(f"y must have shape ({count},), one label a row; got {values.shape}.")
    missing = [row for row, value in enumerate(values.tolist()) if not class_name(value)]
    if missing:
        raise DataError(
            f"y has no label in {len(missing)} rows, the first in row {missing[0]}. Leave them out."
        )
    classes, coded = np.unique(values, return_inverse=True)
    return classes, coded.reshape(-1).astype(np.int64)
