from __future__ import annotations

from typing import Any

import pytest
from sklearn.datasets import load_digits

from counterpoint.apps.findings import uncertainty
from counterpoint.curation.judge import Judge
from counterpoint.curation.noise import plant


@pytest.fixture(scope="module")
def space() -> tuple[Any, Any]:
    pixels, truth = load_digits(return_X_y=True)
    return pixels - pixels.mean(axis=0), truth


@pytest.mark.parametrize("kind", ["uniform", "confusable", "annotator"])
def test_mistakes_in_clear_cases_leave_no_doubt(space: Any, kind: Any) -> None:
    z, truth = space
    y = plant(truth, 0.05, kind, embeddings=z)
    assert uncertainty(Judge(network=False).judge(z, y)) == []


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_hard_cases_and_mistakes_where_classes_meet_look_alike(space: Any, share: float) -> None:
    z, truth = space
    y = plant(truth, share, "instance", embeddings=z)
    found = Judge(network=False).judge(z, y)
    (said,) = uncertainty(found)
    differ = (found.probabilities.argmax(axis=1) != y).mean()
    assert f"{found.noise_share:.1%} of the labels differ" in said
    assert f"surest, {differ:.1%} where all rows count" in said
