from __future__ import annotations

import numpy as np
import pytest

from counterpoint.curation.credibility import nearest
from counterpoint.curation.soft_labels import bandwidth, kernel_density, soft_targets
from counterpoint.errors import SettingError


@pytest.fixture
def z() -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(12, 4))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_equals_the_posterior_of_the_class_densities(z: np.ndarray) -> None:
    y, h = np.arange(12) % 3, 0.6
    found = kernel_density(nearest(z, 11), np.eye(3)[y], h)
    kernel = np.exp(-((z[:, None] - z[None]) ** 2).sum(-1) / (2 * h**2))
    np.fill_diagonal(kernel, 0)
    mass = kernel @ np.eye(3)[y]
    np.testing.assert_allclose(found, mass / mass.sum(1, keepdims=True), rtol=1e-4)


def test_no_bandwidth_underflows(z: np.ndarray) -> None:
    near = nearest(z, 11)
    sharp = kernel_density(near, np.eye(12), 1e-6)
    assert np.isfinite(sharp).all()
    assert (sharp.argmax(1) == near.index[:, 0]).all()


def test_a_uniform_prior_divides_by_the_size_of_the_class(z: np.ndarray) -> None:
    y = np.array([0] * 9 + [1] * 3)
    near, targets = nearest(z, 11), np.eye(2)[y]
    plain = kernel_density(near, targets, 1.0)
    fair = kernel_density(near, targets, 1.0, uniform_prior=True)
    expected = plain / [9, 3]
    np.testing.assert_allclose(fair, expected / expected.sum(1, keepdims=True))


def test_held_out_rows_have_no_part(z: np.ndarray) -> None:
    near, held = nearest(z, 11), np.arange(12) % 2 == 0
    first, second = np.eye(2)[np.arange(12) % 2], np.eye(2)[np.ones(12, dtype=int)]
    a = kernel_density(near, first, 0.5, without=held)
    b = kernel_density(near, second, 0.5, without=held)
    np.testing.assert_array_equal(a, b)


def test_bandwidth_is_a_share_of_the_usual_distance(z: np.ndarray) -> None:
    distance = np.sqrt(((z[:, None] - z[None]) ** 2).sum(-1))
    tenth = np.sort(distance, axis=1)[:, 10]
    assert bandwidth(nearest(z, 11)) == pytest.approx(0.35 * np.median(tenth), rel=1e-4)
    assert 1e-6 <= bandwidth(nearest(np.ones((5, 2)), 3)) < 1e-3
    with pytest.raises(SettingError):
        bandwidth(nearest(z, 3), factor=0)


def test_credible_labels_stay_hard() -> None:
    given, density = np.eye(2), np.array([[0.5, 0.5], [0.5, 0.5]])
    found = soft_targets(given, density, np.array([1.0, 0.0]))
    np.testing.assert_allclose(found, [[1, 0], [0.5, 0.5]])
