from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma
from sklearn.metrics import average_precision_score

from counterpoint.curation.calibration import temperature_scaled
from counterpoint.curation.wrong_labels import (
    flag,
    given_margins,
    habits,
    log_margins,
    noise_share,
    probability_wrong,
)


def judged(share: float, seed: int = 0, sharp: float = 5.0) -> tuple[np.ndarray, ...]:
    """Probabilities of a fair model, and labels of which a share is wrong."""
    rng = np.random.default_rng(seed)
    logits = sharp * rng.normal(size=(6000, 5))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (p.cumsum(1) > rng.random((6000, 1))).argmax(1)
    wrong = rng.random(6000) < share
    return p, np.where(wrong, (truth + rng.integers(1, 5, 6000)) % 5, truth), truth


def mistaken(part: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Part of class 0 labelled 1 throughout, and what a fair model of such labels says."""
    p, truth, _ = judged(0.0, seed)
    rng = np.random.default_rng(seed + 1)
    wrong = (truth == 0) & (rng.random(6000) < part)
    learnt = p.copy()
    learnt[:, 1] += part * learnt[:, 0]
    learnt[:, 0] *= 1 - part
    return learnt, np.where(wrong, 1, truth), truth


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
def test_the_share_is_found_without_the_truth(share: float) -> None:
    p, y, _ = judged(share)
    assert noise_share(p, y) == pytest.approx(share, abs=0.03)


def test_more_wrong_labels_are_a_larger_share() -> None:
    found = [noise_share(*judged(share)[:2]) for share in (0.0, 0.05, 0.1, 0.2, 0.4)]
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("part", [0.1, 0.3])
def test_the_share_of_a_habit_is_found(part: float) -> None:
    p, y, truth = mistaken(part)
    assert noise_share(p, y) == pytest.approx((y != truth).mean(), abs=0.02)


def test_clean_labels_are_found_clean() -> None:
    p, y, _ = judged(0.0)
    assert noise_share(p, y) < 0.02


def test_probabilities_mean_what_they_say() -> None:
    p, y, truth = judged(0.2)
    found = probability_wrong(p, y, 0.2)
    for low, high in ((0.0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 1.01)):
        inside = (found >= low) & (found < high)
        assert inside.sum() > 30
        assert (y != truth)[inside].mean() == pytest.approx(found[inside].mean(), abs=0.1)


def test_credibility_orders_strictly_as_the_margin() -> None:
    p, y, _ = judged(0.2)
    margin = log_margins(p)[np.arange(len(y)), y]
    found = probability_wrong(p, y, 0.2)
    order = np.argsort(margin)
    assert (np.diff(found[order])[np.diff(margin[order]) > 0] < 0).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_the_threshold_is_near_the_best_one() -> None:
    p, y, truth = judged(0.2)
    margin = log_margins(p)[np.arange(len(y)), y]
    flagged = flag(probability_wrong(p, y, noise_share(p, y)), margin)
    wrong = y != truth

    def f1(chosen: np.ndarray) -> float:
        return float(2 * (wrong & chosen).sum() / (wrong.sum() + chosen.sum()))

    order = np.argsort(margin)
    best = max(f1(np.isin(np.arange(len(y)), order[:k])) for k in range(100, 4000, 100))
    assert f1(flagged) > best - 0.03


def test_nothing_is_flagged_where_nothing_is_wrong() -> None:
    assert not flag(np.zeros(5), np.arange(5.0)).any()
    assert flag(np.array([0.9, 0.0, 1.0]), np.arange(3.0)).tolist() == [True, False, True]


def test_margins_are_log_ratios_to_the_best_other() -> None:
    found = log_margins(np.array([[0.5, 0.3, 0.2]]))
    np.testing.assert_allclose(found, np.log([[0.5 / 0.3, 0.3 / 0.5, 0.2 / 0.5]]), rtol=1e-4)


def test_one_temperature_undoes_another() -> None:
    p, y, _ = judged(0.0)
    sharper = p**2 / (p**2).sum(1, keepdims=True)
    scaled, temperature = temperature_scaled(sharper, y)
    assert temperature == pytest.approx(2.0, rel=0.1)
    np.testing.assert_allclose(scaled, p, atol=0.05)


def test_a_habit_is_found_and_grows_with_its_frequency() -> None:
    found = [habits(*mistaken(part)[:2]) for part in (0.1, 0.2, 0.3)]
    for habit in found:
        assert np.argwhere(habit > 0).tolist() == [[0, 1]]
    assert found[0][0, 1] < found[1][0, 1] < found[2][0, 1]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_mistakes_of_every_kind_alike_are_no_habit(share: float, seed: int) -> None:
    assert not habits(*judged(share, seed)[:2]).any()


def test_a_single_label_is_no_habit() -> None:
    p = np.full((20, 2), 0.1)
    p[np.arange(20), np.arange(20) % 2] = 0.9
    y = np.arange(20) % 2
    y[0] = 1
    assert not habits(p, y).any()


def test_a_habit_counts_the_other_rows_only() -> None:
    """Of the 300 surest rows of either class, 180 of class 0 are labelled 1; 1 mistake is left."""
    p = np.full((10, 2), 0.1)
    p[np.arange(10), np.arange(10) % 2] = 0.9
    y = np.arange(10) % 2
    y[:6:2] = 1
    assert not habits(p, y).any()
    found = habits(np.tile(p, (300, 1)), np.tile(y, 300))
    np.testing.assert_allclose(found, [[0, np.log(gamma.ppf(1e-4, 179))], [0, 0]])


def test_margins_raise_what_is_a_habit() -> None:
    habit = np.zeros((3, 3))
    habit[0, 1] = np.log(4)
    p = np.array([[0.3, 0.6, 0.1]])
    expected = np.log([[0.3 / 0.6, 0.6 / 1.2, 0.1 / 0.6]])
    np.testing.assert_allclose(log_margins(p, habit), expected, rtol=1e-4)
    np.testing.assert_allclose(given_margins(p, np.array([1]), habit), expected[0, 1:2], rtol=1e-4)
    assert np.array_equal(log_margins(p, np.zeros((3, 3))), log_margins(p))


def test_the_mistakes_of_a_habit_are_told_from_hard_rows() -> None:
    p, y, truth = mistaken(0.3)
    wrong, share = y != truth, noise_share(p, y)

    def precision(found: np.ndarray) -> float:
        return float(average_precision_score(wrong, found))

    clean = p[:, 0] / 0.7
    ideal = np.where(y == 1, 0.3 * clean / p[:, 1], 0.0)
    found = probability_wrong(p, y, share, habits(p, y))
    assert precision(found) > precision(ideal) - 0.05
    assert precision(probability_wrong(p, y, share)) < precision(ideal) - 0.5
    assert found.mean() == pytest.approx(share, abs=0.01)
