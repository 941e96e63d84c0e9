from __future__ import annotations

import numpy as np

from counterpoint.apps.reasons import reasons
from counterpoint.curation.judge import Judge


def test_a_reason_names_the_habit_of_an_annotator() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(1200) % 4
    z = 2 * np.eye(4)[truth] + rng.normal(size=(1200, 4)) * 0.3
    y = np.where((truth == 0) & (rng.random(1200) < 0.35), 1, truth)
    y[truth == 2] = np.where(rng.random(300) < 0.01, 3, 2)
    found = Judge(network=False).judge(z, y)
    said = np.array(reasons(found, ["ant", "bee", "cat", "dog"]))
    habit = found.flagged & (truth == 0) & (y == 1)
    chance = found.flagged & (truth == 2) & (y == 3)
    assert habit.sum() > 80
    assert chance.any()
    assert all(
        "; “ant” is often labelled “bee”, clear cases too" in reason for reason in said[habit]
    )
    assert not any("often labelled" in reason for reason in said[~habit])
