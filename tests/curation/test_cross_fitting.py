from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from word_encoder import Words, lesson

from counterpoint.curation.corrector import stratified_folds
from counterpoint.curation.cross_fitting import MOST_ROUNDS, Contents, CrossFitting, Plan
from counterpoint.curation.fine_tuning import FineTuning
from counterpoint.curation.judge import Judge
from counterpoint.data.finished import Finished

LONG = 1e6
FITTING = CrossFitting(
    Words,
    FineTuning(layers=1, epochs=1, learning_rate=1e-2, head_learning_rate=5e-2, batch=4),
    Judge(network=False, neighbours=10, folds=3),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path))


@pytest.fixture
def contents() -> Contents:
    given = lesson(60)
    return Contents(given.texts, given.base, given.targets)


def fold(name: str, number: int = 0) -> Any:
    part = Finished("test", name).part(f"fold-{number}")
    return None if part is None else part["probabilities"]


@pytest.mark.parametrize(
    ("passes", "plan"),
    [
        (0.5, None),
        (2.2, None),
        (2.4, Plan(1, 3, 31 / 30)),
        (8.2, Plan(1, 3, 59 / 15)),
        (8.0 + 1 / 3, Plan(1, 5, 2.0)),
        (17, Plan(1, 5, 4)),
        (33, Plan(2, 5, 4)),
        (1e9, Plan(MOST_ROUNDS, 5, 4)),
    ],
)
def test_the_plan_fills_the_time(passes: float, plan: Plan | None) -> None:
    found = Plan.within(passes, 5, 4)
    if plan is None or found is None:
        assert found is plan
    else:
        assert (found.rounds, found.folds) == (plan.rounds, plan.folds)
        assert found.epochs == pytest.approx(plan.epochs)


def test_it_judges_every_row(contents: Contents) -> None:
    found = FITTING.fit(contents, LONG)
    assert found is not None
    probabilities, plan = found
    assert plan == Plan(MOST_ROUNDS, 3, 1)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert (probabilities.argmax(1) == contents.given).mean() > 0.8


@pytest.mark.parametrize("soft", [True, False])
def test_no_row_sees_its_own_label(contents: Contents, soft: bool) -> None:
    """Other labels in one fold leave the judgement of that fold as it was, to the bit."""
    fitting = replace(FITTING, tuning=replace(FITTING.tuning, soft=soft))
    held = stratified_folds(contents.given, 3) == 1
    other = replace(contents, said=np.where(held[:, None], contents.said[::-1], contents.said))
    assert (other.given != contents.given)[held].any()

    def judged(by: Contents, rows: Any) -> Any:
        end = time.monotonic() + LONG
        return fitting._held_out(by, rows, Plan(1, 3, 1), end, 0, lambda done, loss: None)

    np.testing.assert_array_equal(judged(contents, held), judged(other, held))
    rest = stratified_folds(contents.given, 3) == 0
    assert np.abs(judged(contents, rest) - judged(other, rest)).max() > 0


def test_a_killed_run_goes_on_at_the_first_fold_that_is_missing(contents: Contents) -> None:
    whole = FITTING.fit(contents, LONG)
    made = 0

    def dying() -> Words:
        nonlocal made
        made += 1
        if made == 6:
            raise KeyboardInterrupt
        return Words()

    with pytest.raises(KeyboardInterrupt):
        replace(FITTING, new_encoder=dying).fit(contents, LONG, Finished("test", "killed"))
    assert fold("killed", 3) is not None
    assert fold("killed", 4) is None
    resumed = replace(FITTING, new_encoder=dying).fit(contents, LONG, Finished("test", "killed"))
    assert whole is not None
    assert resumed is not None
    np.testing.assert_array_equal(whole[0], resumed[0])
    assert made == 6 + 15 - 4


def test_the_time_of_finished_folds_counts(contents: Contents) -> None:
    first = Finished("test", "slow")
    first.keep_settings({"rounds": 1, "folds": 3, "epochs": 1e6})
    first.keep_part("fold-0", probabilities=np.full((20, 3), 1 / 3), seconds=1000.0)
    start = time.monotonic()
    assert FITTING.fit(contents, 1000.0, first) is not None
    assert time.monotonic() - start < 20


def test_the_budget_is_kept(contents: Contents) -> None:
    told: list[Any] = []
    kept = Finished("test", "budget")
    kept.keep_settings({"rounds": 1, "folds": 3, "epochs": 1e6})
    start = time.monotonic()
    assert FITTING.fit(contents, 4.0, kept, told.append) is not None
    assert time.monotonic() - start < 8
    assert {event.stage for event in told} == {"fine-tune"}
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert told[-1].done == told[-1].total == 4


def test_too_little_time_or_too_few_rows(contents: Contents) -> None:
    assert FITTING.fit(contents, 0.0) is None
    assert FITTING.fit(contents, 1e-3) is None
    few = contents.of(np.arange(60) < 12)
    assert FITTING.fit(few, LONG) is None


def test_damaged_files_are_as_if_missing(tmp_path: Path) -> None:
    kept = Finished("test", "damaged")
    kept.keep_part("fold-0", seconds=1.0)
    next(kept.folder.glob("*.npz")).write_bytes(b"PK\x03\x04broken")
    (kept.folder / "settings.json").write_text("{")
    assert kept.part("fold-0") is None
    assert kept.settings() is None
