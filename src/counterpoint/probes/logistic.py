"""Multinomial logistic regression on frozen embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from counterpoint.errors import SettingError, require
from counterpoint.probes.inputs import Floats, Ints, train_and_test
from counterpoint.probes.scaling import min_max, standard, unit_length
from counterpoint.threads import one_library_thread


def fit_logistic(x: Floats, y: Ints, C: float, max_iter: int, tol: float) -> Any:
    """Minimises ``1/2 ||W||_F^2 + C sum_i CE_i`` by L-BFGS, intercept not penalised.

    Two classes are fitted by one weight vector with penalty ``1/2 ||w||^2``: ``w = W_1 - W_0`` of
    the formula at C/2. One thread: at this size more only wait for each other.

    Returns:
        The fitted scikit-learn ``LogisticRegression``.
    """
    model = require("sklearn.linear_model", "probe").LogisticRegression
    with one_library_thread():
        return model(C=C, max_iter=max_iter, tol=tol, solver="lbfgs").fit(x, y)


@dataclass(frozen=True)
class Linear:
    """The standard linear probe: logistic regression on unit-length, standardised embeddings.

    Rows are divided by their length, columns are given mean 0 and variance 1 on the training rows,
    then ``1/2 ||W||_F^2 + C sum_i CE_i`` is minimised by L-BFGS in float64.

    Args:
        C: weight of the data against the penalty, above 0.
        max_iter: most L-BFGS iterations.
        tol: gradient at which it stops (of the mean objective, largest component).
    """

    name: ClassVar[str] = "linear"
    version: ClassVar[str] = "1"
    C: float = 1.0
    max_iter: int = 1000
    tol: float = 1e-4

    def __post_init__(self) -> None:
        _check(self.C, self.max_iter, self.tol)

    def score(self, train_z: Any, train_y: Any, test_z: Any, test_y: Any) -> float:
        """Share of test rows classified rightly; arguments and errors as `KNN.score`."""
        train, y, test, truth = train_and_test(train_z, train_y, test_z, test_y)
        train, test = unit_length(train), unit_length(test)
        scale = standard(train)
        model = fit_logistic(scale(train), y, self.C, self.max_iter, self.tol)
        return float((model.predict(scale(test)) == truth).mean())


@dataclass(frozen=True)
class LogisticProbe:
    """Logistic regression on min-max scaled features, the partner of `NaiveBayes` in `two_regimes`.

    Args:
        C: weight of the data against the penalty ``1/2 ||W||_F^2``, above 0.
        max_iter: most L-BFGS iterations.
        tol: gradient at which it stops.

    Source: Zheng et al., "Revisiting Discriminative vs. Generative Classifiers: Theory and
    Implications", ICML 2023.
    """

    name: ClassVar[str] = "logistic"
    version: ClassVar[str] = "1"
    C: float = 1.0
    max_iter: int = 1000
    tol: float = 1e-4

    def __post_init__(self) -> None:
        _check(self.C, self.max_iter, self.tol)

    def score(self, train_z: Any, train_y: Any, test_z: Any, test_y: Any) -> float:
        """Share of test rows classified rightly; arguments and errors as `KNN.score`."""
        train, y, test, truth = train_and_test(train_z, train_y, test_z, test_y)
        scale = min_max(train)
        model = fit_logistic(scale(train), y, self.C, self.max_iter, self.tol)
        return float((model.predict(scale(test)) == truth).mean())


def _check(C: float, max_iter: int, tol: float) -> None:
    if not C > 0 or max_iter < 1 or not tol > 0:
        raise SettingError(
            f"Logistic regression needs C > 0, max_iter >= 1 and tol > 0; "
            f"got {C}, {max_iter} and {tol}."
        )
