from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.curation.multi_label import BEST, Rates, judge_marks
from counterpoint.curation.noise import plant_marks
from counterpoint.errors import DataError, SettingError

ROWS = 1200
QUICK = Judge(neighbours=20, corrector=Corrector(hidden=64))


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    """Six traits, each with a direction of its own; a row has any number of them."""
    rng = np.random.default_rng(0)
    truth = rng.random((ROWS, 6)) < (0.5, 0.4, 0.3, 0.3, 0.2, 0.2)
    z = truth @ np.repeat(np.eye(6), 4, axis=1) + 0.25 * rng.normal(size=(ROWS, 24))
    return z, truth, plant_marks(truth, 0.1, seed=1)


def test_planted_marks_are_as_many_missing_as_extra(data: Any) -> None:
    _, truth, marks = data
    count = round(0.1 * truth.sum())
    assert (truth & ~marks).sum() == (marks & ~truth).sum() == count
    assert (plant_marks(truth, 0.1, seed=1) == marks).all()
    with pytest.raises(SettingError, match="share"):
        plant_marks(truth, 1.0)


def test_wrong_and_missing_marks_are_found(data: Any) -> None:
    z, truth, marks = data
    found = judge_marks(QUICK, z, marks, np.arange(ROWS))
    wrong = marks != truth
    assert found.flagged[wrong].mean() > 0.75
    assert found.flagged[~wrong].mean() < 0.02
    assert (found.suggested == truth).mean() > 0.97
    assert (found.best == truth)[wrong].mean() > 0.9
    assert abs(found.wrong.sum() - wrong.sum()) < 0.25 * wrong.sum()
    assert np.allclose(found.credibility, 1 - found.wrong.max(axis=1))
    kept = ~found.flagged.any(axis=1)
    assert np.allclose(found.confidence[kept], found.credibility[kept])


def test_clean_marks_are_left_alone(data: Any) -> None:
    z, truth, _ = data
    found = judge_marks(QUICK, z, truth, np.arange(ROWS))
    assert found.flagged.mean() < 0.01


def test_no_row_is_judged_by_its_own_marks(data: Any) -> None:
    z, _, marks = data
    other = marks.copy()
    other[7] = ~marks[7]
    votes = Judge(neighbours=20, network=False)
    one, two = (judge_marks(votes, z, m, np.arange(ROWS)) for m in (marks, other))
    assert (one.near.index[7] != 7).all()
    assert np.allclose(one.probabilities[7], two.probabilities[7], atol=0.02)


def test_rates_of_clear_classes_are_those_planted() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((4000, 6)) < 0.3
    missing, extra = rng.random(truth.shape) < 0.2, rng.random(truth.shape) < 0.05
    marks = np.where(truth, ~missing, extra)
    rates = Rates.estimated(np.where(truth, 0.8, 0.05), marks)
    assert rates.missing == pytest.approx(0.2, abs=0.03)
    assert rates.extra == pytest.approx(0.05, abs=0.02)


def test_rare_classes_are_protected(data: Any) -> None:
    z, _, marks = data
    odd = np.zeros((ROWS, 1), dtype=bool)
    odd[:3] = True
    found = judge_marks(QUICK, z, np.hstack([marks, odd]), np.arange(ROWS))
    assert found.rare.tolist() == [False] * 6 + [True]
    assert not found.flagged[:, 6].any()
    assert (found.best[:, 6] == odd[:, 0]).all()


def test_equal_contents_outvote_each_other(data: Any) -> None:
    z, truth, _ = data
    rows = np.r_[np.arange(ROWS), 0, 0]
    group = np.r_[np.arange(ROWS), 0, 0]
    marks = truth[rows].copy()
    marks[0, 1] = ~marks[0, 1]
    found = judge_marks(QUICK, z[rows], marks, group)
    assert found.conflicting[[0, ROWS, ROWS + 1]].all()
    assert not found.conflicting[1:ROWS].any()
    assert found.flagged[0, 1]
    assert not found.flagged[[ROWS, ROWS + 1], 1].any()
    assert found.wrong[0, 1] >= 2 / 3 > BEST


def test_bad_input(data: Any) -> None:
    z, _, marks = data
    with pytest.raises(DataError, match="No row carries"):
        judge_marks(QUICK, z, np.zeros_like(marks), np.arange(ROWS))
    with pytest.raises(DataError, match="3 different rows are too few"):
        judge_marks(QUICK, z[:3], marks[:3], np.arange(3))
    with pytest.raises(SettingError, match="one class a row"):
        judge_marks(Judge(soft=True), z, marks, np.arange(ROWS))
