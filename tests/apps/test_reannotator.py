from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterpoint.apps.reannotator import Reannotator, find_label_issues
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.noise import plant
from counterpoint.errors import DataError

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
    assert found.set_params(neighbours=7).judge.neighbours == 7
    with pytest.raises(DataError, match="fit"):
        Reannotator().predict(z)
    with pytest.raises(DataError, match="row 1"):
        Reannotator().fit(z[:3], np.array(["a", "", "b"]))


def test_find_label_issues_ranks_rows(data: Any) -> None:
    z, truth, y = data
    rows = find_label_issues(y, z, corrector=QUICK)
    assert (y[rows[:15]] != truth[rows[:15]]).all()
