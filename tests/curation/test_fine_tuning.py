from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
import torch
from word_encoder import Words, lesson

from counterpoint.curation.fine_tuning import FineTuning, _batches, _rise_and_fall
from counterpoint.errors import SettingError

QUICK = FineTuning(layers=1, learning_rate=1e-2, head_learning_rate=2e-2, batch=8)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_it_learns_in_the_last_layer_alone(beta: float) -> None:
    given = lesson()
    tuning = FineTuning(layers=1, learning_rate=1e-2, head_learning_rate=2e-2, batch=8, beta=beta)
    network, fresh = Words(), Words()
    tuned = tuning.fit(network, given, epochs=4)
    found = tuned.probabilities(given.texts)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert (found.argmax(1) == given.labels).mean() > 0.8
    moved = {
        name
        for name, before in fresh.named_parameters()
        if not torch.equal(before, dict(network.named_parameters())[name])
    }
    assert moved == {"stack.1.weight", "stack.1.bias"}


def test_same_seed_same_numbers_whatever_the_global_state() -> None:
    given = lesson()
    networks = [Words() for _ in range(3)]
    torch.manual_seed(1)
    first = QUICK.fit(networks[0], given, epochs=1).probabilities(given.texts)
    state = torch.manual_seed(2).get_state()
    second = QUICK.fit(networks[1], given, epochs=1).probabilities(given.texts)
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    third = QUICK.fit(networks[2], given, epochs=1, seed=1).probabilities(given.texts)
    assert np.abs(first - third).max() > 1e-4


def test_time_ends_the_training_at_rest() -> None:
    given, told = lesson(), []
    start = time.monotonic()
    QUICK.fit(Words(), given, epochs=1e6, seconds=0.3, on_step=lambda done, _: told.append(done))
    assert time.monotonic() - start < 5
    assert len(told) > 3
    assert told == sorted(told)
    assert _rise_and_fall(0.05) == pytest.approx(0.5)
    assert _rise_and_fall(0.1) == 1
    assert _rise_and_fall(1.0) == pytest.approx(0, abs=1e-12)


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    QUICK.fit(Words(), lesson(), epochs=1, on_step=lambda done, loss: told.append(done))
    assert len(told) == 15
    assert told[-1] == 1


def test_batches_cover_every_row_and_hold_texts_of_similar_length() -> None:
    texts = ["x" * (1 + n % 50) for n in range(200)]
    epoch = list(itertools.islice(_batches(texts, 10, seed=0), 20 + 1))
    rows = np.concatenate(epoch[:-2]).tolist() + epoch[-2].tolist()
    assert sorted(rows) == list(range(200))
    spread = [np.ptp([len(texts[row]) for row in batch]) for batch in epoch[:20]]
    assert np.median(spread) <= 5


@pytest.mark.parametrize("wrong", [{"layers": 0}, {"learning_rate": 0.0}, {"beta": -1.0}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="FineTuning"):
        FineTuning(**wrong)
