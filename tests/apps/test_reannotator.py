from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterpoint.apps.reannotator import Reannotator, find_label_issues
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.noise import plant
from counterpoint.errors import DataError, SettingError

KINDS = ("cat", "dog", "owl")
QUICK = Corrector(hidden=32)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 3
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.4 * rng.normal(size=(240, 12))
    return z, truth, plant(truth, 0.1, seed=2)


def test_reannotator_follows_scikit_learn(data: Any) -> None:
    z, truth, y = data
    names = np.array(KINDS)
    found = Reannotator(corrector=QUICK).fit(z[:200], names[y[:200]])
    assert found.classes_.tolist() == list(KINDS)
    assert (found.suggested_ == names[truth[:200]]).mean() > 0.95
    assert (found.predict(z[200:]) == names[truth[200:]]).mean() > 0.95
    assert found.get_params()["neighbours"] == 50
    assert found.set_params(neighbours=7).neighbours == 7
    with pytest.raises(DataError, match="fit"):
        Reannotator().predict(z)
    with pytest.raises(DataError, match="row 1"):
        Reannotator().fit(z[:12], np.array(["a", "", "b"] * 4))


def test_find_label_issues_ranks_rows_or_marks_them(data: Any) -> None:
    z, truth, y = data
    rows = find_label_issues(y, z, corrector=QUICK)
    assert (y[rows[:15]] != truth[rows[:15]]).all()
    mask = find_label_issues(y, z, ranked=False, corrector=QUICK)
    assert mask.dtype == bool
    assert np.flatnonzero(mask).tolist() == sorted(rows)
    with pytest.raises(SettingError, match="Did you mean neighbours"):
        find_label_issues(y, z, neighbors=3)


@pytest.mark.filterwarnings("ignore:Estimator Reannotator does not inherit")
def test_every_check_of_scikit_learn_passes() -> None:
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    quick = Reannotator(corrector=Corrector(hidden=16, epochs=1))
    done = checks.check_estimator(quick, on_fail=None, on_skip=None)
    assert [entry for entry in done if entry["status"] == "failed"] == []
    assert sum(entry["status"] == "passed" for entry in done) > 40


def test_it_says_how_it_differs_from_the_default() -> None:
    assert repr(Reannotator(neighbours=7)) == "Reannotator(neighbours=7)"


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.eye(12), np.arange(12) / 2, "continuous. Row 1 of y holds 0.5"),
        (np.eye(12) * 1j, [0, 1] * 6, "real numbers"),
        (np.ones(12), [0, 1] * 6, "reshape"),
        (np.eye(4), [0, 1] * 2, "n_samples = 4"),
        (np.eye(12), [0] * 12, "same class"),
    ],
)
def test_bad_input_is_refused_in_words(x: Any, y: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Reannotator().fit(x, y)
