from __future__ import annotations

import numpy as np
import pytest

from counterpoint.curation.credibility import (
    centred,
    credibility,
    label_shares,
    margin,
    nearest,
    undecidable,
)
from counterpoint.errors import SettingError

A, B = 0, 1


def circle(degrees: list[float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def test_the_worked_example() -> None:
    """Six points on a circle: the third is outvoted by all three of its neighbours."""
    z, y = circle([0, 10, 20, 30, 180, 185]), np.array([A, A, B, A, B, B])
    shares = label_shares(nearest(z, 3), np.eye(2)[y], temperature=None)
    np.testing.assert_allclose(credibility(shares, y), [2 / 3, 2 / 3, 0, 2 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(shares[2], [1, 0])
    assert np.flatnonzero(margin(shares, y) < 0).tolist() == [2]
    assert not undecidable(z, y).any()
    assert undecidable(z[:4], y[:4]).tolist() == [False, False, True, False]


def test_own_row_never_votes_and_k_is_cut_to_what_there_is() -> None:
    z = np.random.default_rng(0).normal(size=(7, 3))
    near = nearest(z, 50)
    assert near.index.shape == (7, 6)
    assert all(row not in near.index[row] for row in range(7))


def test_weights_are_the_formula() -> None:
    z, y = circle([0, 5, 40, 90]), np.array([0, 1, 0, 2])
    shares = label_shares(nearest(z, 3), np.eye(3)[y], temperature=0.2)
    cosine = z[0] @ z[1:].T
    w = np.exp((cosine - cosine.max()) / 0.2)
    np.testing.assert_allclose(shares[0], np.array([w[1], w[0], w[2]]) / w.sum(), rtol=1e-5)


def test_gamma_holds_frequent_classes_back() -> None:
    z, y = circle([0, 1, 2, 3, 4, 5]), np.array([0, 0, 0, 0, 1, 1])
    near, targets = nearest(z, 5), np.eye(2)[y]
    plain = label_shares(near, targets, temperature=None)
    fair = label_shares(near, targets, temperature=None, gamma=1.0)
    np.testing.assert_allclose(plain[0], [3 / 5, 2 / 5])
    np.testing.assert_allclose(fair[0], [3 * 6 / 4 / (3 * 6 / 4 + 2 * 6 / 2), 6 / 10.5])


def test_rows_left_out_do_not_vote() -> None:
    z, y = circle([0, 1, 2, 3]), np.array([0, 1, 1, 0])
    without = np.array([False, True, True, False])
    shares = label_shares(nearest(z, 3), np.eye(2)[y], without=without)
    np.testing.assert_allclose(shares[0], [1, 0])
    none = label_shares(nearest(z, 3), np.eye(2)[y], without=np.ones(4, dtype=bool))
    np.testing.assert_allclose(none, 0.5)


def test_centred_rows_are_unit_and_zero_rows_are_undecidable() -> None:
    z = centred(np.array([[1.0, 0], [3, 0], [2, 5], [2, -5], [2, 0]]))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), [1, 1, 1, 1, 0])
    assert undecidable(z, np.zeros(5, dtype=int)).tolist() == [False] * 4 + [True]


def test_bad_settings_are_refused() -> None:
    near = nearest(circle([0, 1, 2]), 2)
    with pytest.raises(SettingError, match="temperature"):
        label_shares(near, np.eye(3), temperature=0)
    with pytest.raises(SettingError, match="gamma"):
        label_shares(near, np.eye(3), gamma=2)
