import json

import numpy as np
import pytest
import torch

from counterpoint.data import load
from counterpoint.errors import DataError, SettingError
from counterpoint.probes.few_shot import FewShot, _interval


def digits():
    split = load("digits").test
    return split.gather(range(len(split))).flatten(1).double(), split.labels


def test_transport_gains_on_digits_and_most_with_one_shot():
    z, y = digits()
    one, five = (FewShot(shots=shots, episodes=30).measure(z, y) for shots in (1, 5))
    json.dumps(one)
    assert one["classes"] == 10
    assert one["gain"]["ci95"][0] > 0.02
    assert one["gain"]["mean"] > five["gain"]["mean"] > 0
    assert five["inductive"]["mean"] > one["inductive"]["mean"] > 0.6
    low, high = one["inductive"]["ci95"]
    assert low < one["inductive"]["mean"] < high
    assert one["gain"]["mean"] == pytest.approx(
        one["transductive"]["mean"] - one["inductive"]["mean"]
    )


def test_numbers_are_those_of_the_seed_whatever_holds_them():
    z, y = digits()
    probe = FewShot(ways=3, queries=5, episodes=10)
    first = probe.measure(z, y)
    assert probe.measure(z.numpy(), y.numpy()) == first
    assert FewShot(ways=3, queries=5, episodes=10, seed=1).measure(z, y) != first


def test_episodes_are_balanced_and_share_no_sample():
    probe = FewShot(ways=3, shots=2, queries=4, episodes=50)
    labels = np.repeat(np.arange(5), 8)
    for support, query in probe._episodes(probe._members(labels)):
        assert support.shape == (3, 2)
        assert query.shape == (3, 4)
        rows = np.concatenate([support, query], 1)
        assert len(np.unique(rows)) == 18
        assert (labels[rows] == labels[rows[:, :1]]).all()
        assert len(np.unique(labels[rows[:, 0]])) == 3


def test_interval_is_that_of_a_mean_over_episodes():
    found = _interval(np.array([0.0, 1.0, 1.0, 0.0]))
    half = 1.96 * (1 / 3) ** 0.5 / 2
    assert found == {"mean": 0.5, "ci95": pytest.approx([0.5 - half, 0.5 + half])}
    z, y = digits()
    few, more = (FewShot(episodes=n).measure(z, y)["inductive"]["ci95"] for n in (10, 40))
    assert few[1] - few[0] > 1.3 * (more[1] - more[0])


def test_small_classes_take_no_part_and_too_few_are_refused():
    z = torch.randn(40, 4)
    y = torch.tensor([0] * 18 + [1] * 18 + [2] * 4)
    assert FewShot(ways=2, episodes=2).measure(z, y)["classes"] == 2
    with pytest.raises(DataError, match="2 of 3 classes have at least 16 samples"):
        FewShot(ways=3).measure(z, y)


def test_collapsed_embeddings_are_guesses_not_errors():
    y = torch.arange(4).repeat_interleave(20)
    found = FewShot(ways=4, queries=5, episodes=5).measure(torch.ones(80, 3), y)
    assert found["inductive"]["mean"] == found["transductive"]["mean"] == 0.25


def test_settings_out_of_range_are_refused():
    for wrong in ({"ways": 1}, {"shots": 0}, {"queries": 0}, {"episodes": 1}, {"C": 0.0}):
        with pytest.raises(SettingError):
            FewShot(**wrong)
