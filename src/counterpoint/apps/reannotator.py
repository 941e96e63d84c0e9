"""Reannotation in the style of scikit-learn, and of cleanlab."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import FEWEST_ROWS, Judge, Judgement
from counterpoint.data.classes import class_name
from counterpoint.errors import DataError, require, unknown_name
from counterpoint.probes.inputs import Floats


class Reannotator:
    """Judges labels by embeddings; `fit`, then read what was found, or `predict` new rows.

    A classifier by scikit-learn's rules: it can be cloned, searched over and put into a pipeline.
    All of ``check_estimator`` holds.

    Args:
        neighbours, temperature, votes, network, soft, corrector, folds, smallest, seed: as of
            `counterpoint.curation.judge.Judge`.

    Attributes:
        classes_: the labels there are, sorted.
        credibility_: probability that each label is right ``(N,)``.
        flagged_: bool ``(N,)``.
        suggested_: the given label, or another where it is flagged ``(N,)``.
        confidence_: probability that the suggested label is right ``(N,)``.
        noise_share_: estimated share of wrong labels.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        *,
        neighbours: int = 50,
        temperature: float = 0.1,
        votes: bool = True,
        network: bool = True,
        soft: bool = False,
        corrector: Corrector | None = None,
        folds: int = 5,
        smallest: int = 10,
        seed: int = 0,
    ) -> None:
        self.neighbours = neighbours
        self.temperature = temperature
        self.votes = votes
        self.network = network
        self.soft = soft
        self.corrector = corrector
        self.folds = folds
        self.smallest = smallest
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def set_params(self, **settings: Any) -> Self:
        """Changes some settings.

        Raises:
            SettingError: an unknown name.
        """
        known = self.get_params()
        for name, value in settings.items():
            if name not in known:
                raise unknown_name("setting", name, known)
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        usual = inspect.signature(type(self)).parameters
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not usual[name].default and value != usual[name].default
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        tags = require("sklearn.utils", "probe")
        return tags.Tags(
            estimator_type="classifier",
            target_tags=tags.TargetTags(required=True),
            classifier_tags=tags.ClassifierTags(),
        )

    def fit(self, X: Any, y: Any) -> Self:
        """Judges the labels ``y`` ``(N,)`` of the embeddings ``X`` ``(N, D)``.

        Raises:
            DataError: embeddings or labels that do not fit, are missing, or are too few.
            SettingError: a setting out of range.
        """
        z = _embeddings(X)
        if len(z) < FEWEST_ROWS:
            raise DataError(
                f"n_samples = {len(z)} are too few to judge labels by each other; at least "
                f"{FEWEST_ROWS} are needed."
            )
        classes, coded = _coded(y, len(z))
        settings = self.get_params() | {"corrector": self.corrector or Corrector()}
        self.judgement_: Judgement = Judge(**settings).judge(z, coded)
        self.n_features_in_ = z.shape[1]
        self.classes_ = classes
        self.credibility_ = self.judgement_.credibility
        self.flagged_ = self.judgement_.flagged
        self.suggested_ = classes[self.judgement_.suggested]
        self.confidence_ = self.judgement_.confidence
        self.noise_share_ = self.judgement_.noise_share
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Calibrated class probabilities ``(M, C)`` of new rows ``(M, D)``.

        Raises:
            DataError: it has not been fitted, or rows of another width.
        """
        if not hasattr(self, "judgement_"):
            raise _not_fitted()
        z = _embeddings(X)
        if z.shape[1] != self.n_features_in_:
            raise DataError(
                f"X has {z.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return self.judgement_.predict(z)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each new row ``(M, D)``."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def score(self, X: Any, y: Any) -> float:
        """Share of the labels ``y`` ``(M,)`` that `predict` gives."""
        return float((self.predict(X) == np.asarray(y)).mean())


def find_label_issues(
    labels: Any, embeddings: Any, *, ranked: bool = True, **settings: Any
) -> NDArray[Any]:
    """Rows whose label is probably wrong.

    Args:
        labels: N labels of any one type.
        embeddings: ``(N, D)``.
        ranked: rows, worst first; False for a mask of all rows.
        **settings: as of `Reannotator`.

    Returns:
        int64 ``(M,)``; or bool ``(N,)``.
    """
    unknown = next((name for name in settings if name not in Reannotator().get_params()), None)
    if unknown is not None:
        raise unknown_name("setting", unknown, Reannotator().get_params())
    found = Reannotator(**settings).fit(embeddings, labels)
    if not ranked:
        return found.flagged_
    rows = np.flatnonzero(found.flagged_)
    worst: NDArray[np.int64] = rows[np.argsort(found.credibility_[rows], kind="stable")]
    return worst


def _not_fitted() -> Exception:
    """One that scikit-learn knows as well."""
    known = require("sklearn.exceptions", "probe").NotFittedError
    kind: type[Exception] = type("NotFitted", (DataError, known), {})
    return kind("This Reannotator is not fitted yet; call fit(X, y) first.")


def _embeddings(X: Any) -> NDArray[Any]:
    if hasattr(X, "toarray"):
        raise TypeError("Sparse X is not taken; give a dense matrix: X.toarray().")
    z = np.asarray(X)
    if z.dtype == object:
        try:
            z = z.astype(np.float64)
        except ValueError as error:
            raise DataError(f"X must hold numbers: {error}.") from error
    if np.iscomplexobj(z):
        raise DataError("Complex data not supported: X must hold real numbers.")
    if z.ndim != 2:
        raise DataError(
            f"Expected 2D array X (N, D), got shape {z.shape}. Reshape your data: one row is "
            "X.reshape(1, -1)."
        )
    if 0 in z.shape:
        what = "sample" if len(z) == 0 else "feature"
        raise DataError(
            f"Found array with 0 {what}(s) (shape={z.shape}) while a minimum of 1 is required."
        )
    return z


def _coded(y: Any, count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if y is None:
        raise DataError("requires y to be passed, but the target y is None")
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        kind = require("sklearn.exceptions", "probe").DataConversionWarning
        said = "A column-vector y was passed when a 1d array was expected."
        warnings.warn(said, kind, stacklevel=3)
        values = values[:, 0]
    if values.shape != (count,):
        raise DataError(f"y must have shape ({count},), one label a row; got {values.shape}.")
    missing = [row for row, value in enumerate(values.tolist()) if not class_name(value)]
    if missing:
        raise DataError(
            f"y has no label in {len(missing)} rows, the first in row {missing[0]}. Leave them out."
        )
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        row = int(np.flatnonzero(values != np.rint(values))[0])
        raise DataError(
            f"Unknown label type: continuous. Row {row} of y holds {values[row]}, no class."
        )
    classes, coded = np.unique(values, return_inverse=True)
    return classes, coded.reshape(-1).astype(np.int64)
