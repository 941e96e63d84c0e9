from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterpoint.curation.anchors import STRENGTH, anchored

ROWS, CLASSES = 400, 4


@pytest.fixture
def corpus() -> dict[str, Any]:
    """Four clusters; half of class 0 in one corner is labelled 1, and nobody suspects it."""
    rng = np.random.default_rng(0)
    truth = np.arange(ROWS) % CLASSES
    z = np.repeat(np.eye(CLASSES), 2, axis=1)[truth] + 0.15 * rng.normal(size=(ROWS, 8))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    given = truth.copy()
    given[(truth == 0) & (z[:, 0] > z[:, 1])] = 1
    wrong = np.flatnonzero(rng.random(ROWS) < 0.1)
    given[wrong] = (truth[wrong] + 2) % CLASSES
    suspected = given != truth
    suspected &= given != 1
    suspected |= rng.random(ROWS) < 0.1
    suggested = np.where(suspected, (given + 2) % CLASSES, given)
    credibility = np.where(suspected, rng.uniform(0.1, 0.5, ROWS), rng.uniform(0.5, 1, ROWS))
    return {
        "z": z.astype(np.float16),
        "given": given,
        "suggested": suggested,
        "credibility": credibility,
        "confidence": np.where(suspected, 0.8 * (1 - credibility), credibility),
        "truth": truth,
    }


def judged(corpus: dict[str, Any], anchors: Any, **more: Any) -> Any:
    known = {name: value for name, value in corpus.items() if name != "truth"}
    return anchored(
        **{**known, **more}, anchors=anchors, truth=corpus["truth"][anchors], classes=CLASSES
    )


def average_precision(wrong: Any, score: Any) -> float:
    hits = wrong[np.argsort(-score, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def test_anchors_find_what_was_not_suspected(corpus: dict[str, Any]) -> None:
    anchors = np.argsort(corpus["credibility"])[:60]
    rest = np.setdiff1d(np.arange(ROWS), anchors)
    wrong = (corpus["given"] != corpus["truth"])[rest]
    found = judged(corpus, anchors)
    before = average_precision(wrong, 1 - corpus["credibility"][rest])
    after = average_precision(wrong, found.wrong[rest])
    assert after > before + 0.2
    unsuspected = rest[wrong & (corpus["suggested"] == corpus["given"])[rest]]
    assert (found.other[unsuspected] == corpus["truth"][unsuspected]).mean() > 0.9


def test_equals_the_sums_written_out(corpus: dict[str, Any]) -> None:
    anchors = np.array([3, 10, 50, 77])
    truth, given, suggested = corpus["truth"], corpus["given"], corpus["suggested"]
    z = corpus["z"].astype(np.float32)
    found = judged(corpus, anchors)
    surprise = (given != truth)[anchors] - found.wrong[anchors]
    before = []
    for row in range(ROWS):
        near = {j: np.exp((z[row] @ z[j] - 1) / 0.1) for j in anchors}
        others = {j: w for j, w in near.items() if j != row}
        votes = sum(w for j, w in others.items() if truth[j] == found.other[row])
        assert found.votes[row] == pytest.approx(votes, rel=1e-3, abs=1e-9)
        right = sum(w for j, w in others.items() if truth[j] == given[row])
        against = sum(others.values()) - right
        odds = np.log(found.wrong[row]) - np.log1p(-found.wrong[row])
        odds -= (np.log(STRENGTH + against) - np.log(STRENGTH + right)) / 2
        for j, size in zip(anchors, surprise, strict=True):
            pair = (given[row], suggested[row]) == (given[j], suggested[j])
            odds -= size * (1 + pair / 2 + (given[row] == given[j]) * (0.25 + near[j] / 2))
        before.append(odds)
    rank = np.empty(ROWS)
    rank[np.argsort(-corpus["credibility"])] = np.arange(1, ROWS + 1)
    place = np.log(rank / (ROWS + 1 - rank))
    line = np.polyfit(place, before, 1)
    assert line[0] > 0
    assert np.polyval(line, place) == pytest.approx(before, abs=5e-3)
    left = 1 - corpus["credibility"] - 1 / (1 + np.exp(-np.array(before)))
    assert [left.mean(), (left * place).mean()] == pytest.approx([0, 0], abs=2e-3)


def test_the_order_of_rows_as_credible_but_for_a_hair_is_not_lost() -> None:
    """Credibility in two steps; within them the order tells, and the decided rows teach nothing."""
    gained = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(600, 8))
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        truth = rng.integers(0, 10, 600)
        wrong = rng.random(600) < 1 / (1 + np.exp((np.arange(600) - 150) / 30))
        given = np.where(wrong, (truth + rng.integers(1, 10, 600)) % 10, truth)
        trust = np.where(np.arange(600) < 200, 0.2, 0.97) + np.linspace(0, 1e-3, 600)
        suggested = np.where(np.arange(600) < 200, np.where(wrong, truth, (given + 1) % 10), given)
        corpus = {"z": z, "given": given, "suggested": suggested, "credibility": trust}
        found = anchored(
            **corpus,
            confidence=1 - trust,
            anchors=np.arange(40),
            truth=truth[:40],
            classes=10,
        )
        before = average_precision(wrong[40:], 1 - trust[40:])
        gained.append(average_precision(wrong[40:], found.wrong[40:]) - before)
    assert np.mean(gained) > -0.01


def test_an_anchor_does_not_vote_on_itself(corpus: dict[str, Any]) -> None:
    alone = judged(corpus, np.array([5]), z=np.eye(ROWS, dtype=np.float32))
    assert alone.votes[5] == 0
    assert (alone.votes <= np.exp(-1 / 0.1) + 1e-9).all()


def test_sure_priors_do_not_break_the_fit(corpus: dict[str, Any]) -> None:
    extreme = np.where(corpus["given"] != corpus["truth"], 0.0, 1.0)
    anchors = np.arange(100)
    found = judged(corpus, anchors, credibility=extreme)
    rest = np.arange(100, ROWS)
    wrong = (corpus["given"] != corpus["truth"])[rest]
    assert np.isfinite(found.wrong).all()
    assert average_precision(wrong, found.wrong[rest]) > 0.9


def test_rows_of_one_credibility_are_told_apart_by_the_anchors(corpus: dict[str, Any]) -> None:
    found = judged(corpus, np.arange(80), credibility=np.full(ROWS, 0.9))
    wrong = (corpus["given"] != corpus["truth"])[80:]
    assert average_precision(wrong, found.wrong[80:]) > 0.9
    assert found.wrong[80:][~wrong].mean() < 0.3


def test_rows_without_an_embedding_are_left_to_the_prior(corpus: dict[str, Any]) -> None:
    z = corpus["z"].copy()
    z[7] = np.nan
    found = judged(corpus, np.arange(20, 60), z=z)
    assert np.isfinite(found.wrong).all()
    assert found.votes[7] < 1e-6


def test_shares_are_probabilities_and_the_other_label_is_another(corpus: dict[str, Any]) -> None:
    found = judged(corpus, np.arange(0, 80))
    assert ((found.share > 0) & (found.share <= 1)).all()
    assert (found.other != corpus["given"]).all()
    assert ((found.wrong >= 0) & (found.wrong <= 1)).all()
