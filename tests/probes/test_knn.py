import math

import numpy as np
import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.probes import KNN, neighbours


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def predict_by_loops(train, y, test, k: int, temperature: float, skip=None) -> list[int]:
    train, test = unit(train), unit(test)
    winners = []
    for i, row in enumerate(test):
        order = [j for j in np.argsort(-(train @ row), kind="stable") if not (skip and j == i)]
        votes = {int(c): 0.0 for c in range(max(y) + 1)}
        for j in order[:k]:
            votes[int(y[j])] += math.exp(float(train[j] @ row) / temperature)
        winners.append(max(votes, key=lambda c: (votes[c], -c)))
    return winners


def sample(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 4, rows)
    return generator.normal(size=(rows, 5)) + np.eye(5)[y], y


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (7, 0.07), (20, 1.0), (500, 0.5)])
def test_equals_the_plain_loop(k: int, temperature: float) -> None:
    (train, y), (test, truth) = sample(0, 90), sample(1, 40)
    expected = predict_by_loops(train, y, test, k, temperature)
    probe = KNN(k, temperature)
    assert probe.predict(train, y, test).tolist() == expected
    assert probe.score(train, y, test, truth) == (np.array(expected) == truth).mean()


def test_torch_in_is_numpy_in() -> None:
    (train, y), (test, truth) = sample(2, 50), sample(3, 20)
    tensors = [torch.as_tensor(x) for x in (train, y, test, truth)]
    tensors[0] = tensors[0].float().requires_grad_()
    assert KNN(5).score(*tensors) == KNN(5).score(train.astype(np.float32), y, test, truth)
    assert 0 <= KNN(5).score(train.astype(np.float16), y, torch.tensor(test).bfloat16(), truth) <= 1


def test_a_row_never_votes_on_itself() -> None:
    train, y = sample(4, 60)
    train[10] = train[11] = train[12]  # duplicates stay each other's neighbours
    expected = predict_by_loops(train, y, train, 6, 0.07, skip=True)
    assert KNN(6).score_within(train, y) == (np.array(expected) == y).mean()
    assert KNN(1).score(train[13:], y[13:], train[13:], y[13:]) == 1
    assert KNN(1).score_within(np.eye(4)[[0, 0, 1, 1]], [0, 1, 2, 3]) == 0


def test_small_temperatures_do_not_overflow() -> None:
    train, y = sample(5, 30)
    assert KNN(3, 1e-6).predict(train, y, train).tolist() == y.tolist()


def test_ties_go_to_the_lowest_class() -> None:
    train = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert KNN(2).predict(train, [1, 0], [[1.0, 1.0]]).tolist() == [0]


def test_zero_rows_have_similarity_zero() -> None:
    scores, _ = neighbours(np.zeros((1, 2)), np.eye(2), 2)
    assert scores.tolist() == [[0, 0]]


def test_neighbours_without_the_same_row_even_among_many_duplicates() -> None:
    z = np.ones((30, 3))
    _, found = neighbours(z, z, 5, exclude_same_row=True)
    assert found.shape == (30, 5)
    assert not (found == np.arange(30)[:, None]).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_z": np.full((3, 2), np.nan)}, "train_z has NaN or infinite values in 3 of 3"),
        ({"test_z": np.ones((2, 3))}, "same encoder"),
        ({"train_y": [1, 1, 1]}, "one class only"),
        ({"train_y": [0, 1]}, "train_y must have shape"),
        ({"test_y": [0, -1]}, "negative"),
        ({"test_y": [0.0, 1.0]}, "whole numbers"),
        ({"test_z": np.ones((0, 2)), "test_y": []}, "at least one row"),
    ],
)
def test_bad_input_is_named(change, message: str) -> None:
    good = {
        "train_z": np.eye(3)[:, :2],
        "train_y": [0, 1, 2],
        "test_z": np.eye(2),
        "test_y": [0, 1],
    }
    with pytest.raises(DataError, match=message):
        KNN().score(**(good | change))


def test_bad_settings_are_named() -> None:
    with pytest.raises(SettingError, match="k >= 1"):
        KNN(0)
    with pytest.raises(SettingError, match="temperature"):
        KNN(temperature=0)
    with pytest.raises(SettingError, match="between 1 and 2"):
        neighbours(np.eye(3), np.eye(3), 3, exclude_same_row=True)
    with pytest.raises(DataError, match="one row"):
        KNN().score_within(np.ones((1, 2)), [0])
