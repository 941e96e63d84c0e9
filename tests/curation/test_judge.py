from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.curation.noise import plant
from counterpoint.errors import DataError, SettingError

QUICK = Corrector(hidden=32)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    truth = np.arange(600) % 6
    z = 3 * np.eye(6)[truth] @ rng.normal(size=(6, 16)) / 4 + rng.normal(size=(600, 16)) * 0.6
    return z, truth, plant(truth, 0.15, seed=1)


def f1(found: Any, wrong: Any) -> float:
    return float(2 * (found & wrong).sum() / (found.sum() + wrong.sum()))


PARTS = [
    {},
    {"soft": True},
    {"votes": False},
    {"network": False},
    {"corrector": Corrector(hidden=32, beta=0.5)},
]


@pytest.mark.parametrize("parts", PARTS, ids=["whole", "soft", "network", "votes", "distant"])
def test_every_part_can_be_switched_and_finds_wrong_labels(data: Any, parts: Any) -> None:
    z, truth, y = data
    found = Judge(**{"corrector": QUICK, **parts}).judge(z, y)
    wrong = y != truth
    assert f1(found.flagged, wrong) > 0.85
    assert (found.suggested == truth)[wrong & found.flagged].mean() > 0.9
    assert found.noise_share == pytest.approx(0.15, abs=0.08)
    assert (found.suggested == y)[~found.flagged].all()
    assert ((found.credibility >= 0) & (found.credibility <= 1)).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


def test_the_mistakes_of_one_annotator_are_found_and_corrected() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(1200) % 4
    z = 3 * np.eye(4)[truth] @ rng.normal(size=(4, 16)) / 4 + rng.normal(size=(1200, 16)) * 0.6
    wrong = (truth == 0) & (rng.random(1200) < 0.35)
    found = Judge(network=False).judge(z, np.where(wrong, 1, truth))
    assert np.argwhere(found.habits > 0).tolist() == [[0, 1]]
    assert f1(found.flagged, wrong) > 0.9
    assert (found.suggested == truth)[wrong & found.flagged].all()


def test_a_further_judge_joins(data: Any) -> None:
    z, truth, y = data
    found = Judge(network=False).judge(z, y)
    sure = np.full((600, 6), 0.02)
    sure[np.arange(600), truth] = 0.9
    further = np.empty_like(sure)
    further[found.group] = sure
    joined = found.joined(further)
    wrong = y != truth
    assert f1(joined.flagged, wrong) > 0.95
    assert (joined.suggested == truth)[wrong & joined.flagged].all()
    alone = found.joined(further, weight=0.0)
    np.testing.assert_array_equal(np.argsort(alone.margin), np.argsort(found.margin))
    np.testing.assert_array_equal(joined.predict(z), found.predict(z))


def test_a_label_has_no_part_in_its_own_judgement(data: Any) -> None:
    z, _, y = data
    changed = y.copy()
    changed[7] = (y[7] + 1) % 6
    judge = Judge(network=False)
    a, b = judge.judge(z, y), judge.judge(z, changed)
    np.testing.assert_array_equal(a.votes[7], b.votes[7])


def test_copies_of_a_wrong_label_do_not_defend_it(data: Any) -> None:
    z, truth, _ = data
    many = np.concatenate([z, np.repeat(z[:1], 30, axis=0)])
    y = np.concatenate([truth, np.full(30, truth[0])])
    y[600:] = y[0] = (truth[0] + 1) % 6
    found = Judge(corrector=QUICK).judge(many, y)
    assert found.flagged[0]
    assert found.flagged[600:].all()
    assert (found.suggested[600:] == truth[0]).all()


def test_equal_rows_with_different_labels_are_flagged(data: Any) -> None:
    z, truth, _ = data
    twice = np.concatenate([z, z[:2]])
    y = np.concatenate([truth, [(truth[0] + 1) % 6, truth[1]]])
    found = Judge(corrector=QUICK).judge(twice, y)
    assert np.flatnonzero(found.twins.conflicting).tolist() == [0, 600]
    assert found.flagged[600]
    assert not found.flagged[0]
    assert found.suggested[600] == truth[0]


def test_rare_classes_are_protected_and_a_class_of_one_is_undecidable(data: Any) -> None:
    z, truth, _ = data
    y = truth.copy()
    y[:5], y[5] = 6, 7
    found = Judge(corrector=QUICK).judge(z, y)
    assert found.rare[:6].all()
    assert found.undecidable.sum() == 1
    assert not found.flagged[:6].any()
    assert found.credibility[:5].max() < 0.9


def test_systematic_noise_cannot_be_seen(data: Any) -> None:
    z, truth, _ = data
    found = Judge(corrector=QUICK).judge(z, (truth + 1) % 6)
    assert found.flagged.mean() < 0.05


def test_new_rows_are_predicted(data: Any) -> None:
    z, truth, y = data
    found = Judge(corrector=QUICK).judge(z[:500], y[:500])
    p = found.predict(z[500:])
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == truth[500:]).mean() > 0.95


def test_fewer_rows_than_folds_neighbours_and_a_batch(data: Any) -> None:
    z, truth, _ = data
    found = Judge(folds=50).judge(z[:12], truth[:12])
    assert found.probabilities.shape == (12, 6)


def test_what_cannot_be_judged_is_refused(data: Any) -> None:
    z, truth, _ = data
    with pytest.raises(DataError, match="same class"):
        Judge().judge(z, np.zeros(600, dtype=int))
    with pytest.raises(DataError, match="too few"):
        Judge().judge(z[:6], truth[:6])
    with pytest.raises(DataError, match="row 3"):
        Judge().judge(np.where(np.arange(600)[:, None] == 3, np.nan, z), truth)
    with pytest.raises(SettingError, match="Neither"):
        Judge(votes=False, network=False)
