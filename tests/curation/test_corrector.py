from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterpoint.curation.corrector import Corrector, stratified_folds
from counterpoint.errors import SettingError


@pytest.fixture
def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    z = np.eye(3)[y] + 0.4 * rng.normal(size=(150, 3))
    return z / np.linalg.norm(z, axis=1, keepdims=True), y


def fitted(z: Any, y: Any, fold: Any, **settings: Any) -> Any:
    targets = np.broadcast_to(np.eye(3)[y], (fold.max() + 1, len(y), 3))
    small = Corrector(hidden=16, dropout=0.0, **settings)
    return small.fit(z, targets, fold, y, np.ones(len(y)), seed=0)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_it_learns(data: Any, beta: float) -> None:
    z, y = data
    fold = stratified_folds(y, 3)
    held = fitted(z, y, fold, beta=beta).held_out(z, fold)
    np.testing.assert_allclose(held.sum(1), 1, rtol=1e-6)
    assert (held.argmax(1) == y).mean() > 0.85


def test_no_row_sees_its_own_label(data: Any) -> None:
    """Other labels in one fold leave the judgement of that fold as it was, to the bit."""
    z, y = data
    fold = stratified_folds(y, 3)
    other = np.where(fold == 1, (y + 1) % 3, y)
    first = fitted(z, y, fold).held_out(z, fold)
    second = fitted(z, other, fold).held_out(z, fold)
    np.testing.assert_array_equal(first[fold == 1], second[fold == 1])
    assert np.abs(first[fold != 1] - second[fold != 1]).max() > 0.05


def test_same_seed_same_numbers_whatever_the_global_state(data: Any) -> None:
    import torch

    z, y = data
    fold = stratified_folds(y, 2)
    torch.manual_seed(1)
    first = fitted(z, y, fold).held_out(z, fold)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, fitted(z, y, fold).held_out(z, fold))


def test_new_rows_are_judged_by_all_networks(data: Any) -> None:
    z, y = data
    p = fitted(z, y, stratified_folds(y, 3)).predict(np.eye(3))
    assert p.argmax(1).tolist() == [0, 1, 2]


def test_folds_are_even_in_every_class() -> None:
    y = np.repeat([0, 1, 2], [20, 7, 1])
    fold = stratified_folds(y, 5, seed=1)
    assert (np.bincount(fold[y == 0]) == 4).all()
    assert np.bincount(fold[y == 1], minlength=5).max() <= 2
    assert np.bincount(fold).max() - np.bincount(fold).min() <= 1


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match="dropout"):
        Corrector(dropout=1.0)
