from __future__ import annotations

import numpy as np
import pytest

from counterpoint.curation.calibration import temperature_scaled
from counterpoint.curation.wrong_labels import flag, log_margins, noise_share, probability_wrong


def judged(share: float, seed: int = 0, sharp: float = 5.0) -> tuple[np.ndarray, ...]:
    """Probabilities of a fair model, and labels of which a share is wrong."""
    rng = np.random.default_rng(seed)
    logits = sharp * rng.normal(size=(6000, 5))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (p.cumsum(1) > rng.random((6000, 1))).argmax(1)
    wrong = rng.random(6000) < share
    return p, np.where(wrong, (truth + rng.integers(1, 5, 6000)) % 5, truth), truth


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
def test_the_share_is_found_without_the_truth(share: float) -> None:
    p, y, _ = judged(share)
    assert noise_share(p, y) == pytest.approx(share, abs=0.03)


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
