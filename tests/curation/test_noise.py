from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterpoint.curation.noise import plant
from counterpoint.errors import DataError, SettingError


@pytest.fixture
def clusters() -> tuple[Any, Any]:
    """Four classes on a circle: each lies nearest its two neighbours."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 100)
    centre = np.stack([np.cos(y * np.pi / 2), np.sin(y * np.pi / 2)], 1)
    return centre + 0.4 * rng.normal(size=(400, 2)), y


@pytest.mark.parametrize("kind", ["uniform", "confusable", "annotator", "instance"])
def test_exact_count_to_other_classes_and_the_same_for_a_seed(kind: Any, clusters: Any) -> None:
    z, y = clusters
    noisy = plant(y, 0.2, kind, embeddings=z, seed=3)
    assert (noisy != y).sum() == 80
    assert set(noisy) <= {0, 1, 2, 3}
    assert (noisy == plant(y, 0.2, kind, embeddings=z, seed=3)).all()
    assert (noisy != plant(y, 0.2, kind, embeddings=z, seed=4)).any()


def test_confusable_labels_go_to_classes_nearby(clusters: Any) -> None:
    z, y = clusters
    noisy = plant(y, 0.3, "confusable", embeddings=z)
    wrong = noisy != y
    assert ((noisy - y) % 4 == 2)[wrong].mean() < 0.1
    plain = plant(y, 0.3)
    assert ((plain - y) % 4 == 2)[plain != y].mean() > 0.2


def test_an_annotator_is_wrong_in_one_way_a_class(clusters: Any) -> None:
    z, y = clusters
    noisy = plant(y, 0.15, "annotator", embeddings=z)
    for label in np.unique(y[noisy != y]):
        assert len(np.unique(noisy[(y == label) & (noisy != y)])) == 1
        assert (noisy != y)[y == label].mean() <= 0.34


def test_instance_noise_falls_on_rows_near_the_border(clusters: Any) -> None:
    z, y = clusters
    wrong = plant(y, 0.1, "instance", embeddings=z) != y
    angle = np.arctan2(z[:, 1], z[:, 0]) - y * np.pi / 2
    away = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    assert away[wrong].mean() > away[~wrong].mean() + 0.3


def test_zero_changes_nothing_and_bad_settings_are_named(clusters: Any) -> None:
    _, y = clusters
    assert (plant(y, 0.0) == y).all()
    with pytest.raises(SettingError, match="share"):
        plant(y, 1.0)
    with pytest.raises(SettingError, match="uniform"):
        plant(y, 0.1, "unifrom")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="embeddings="):
        plant(y, 0.1, "confusable")
    with pytest.raises(DataError, match="one class"):
        plant(np.zeros(5, dtype=int), 0.1)
