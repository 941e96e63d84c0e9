import math

import pytest

from counterpoint.report.noise import indistinguishable, standard_error


def test_binomial_standard_error() -> None:
    assert standard_error(0.5, 100) == pytest.approx(0.05)
    assert standard_error(0.9, 400) == pytest.approx(math.sqrt(0.09 / 400))
    assert standard_error(1.0, 10) == 0.0


def test_a_tie_is_a_difference_within_its_own_standard_error() -> None:
    error = math.sqrt(0.7 * 0.3 / 400 + 0.72 * 0.28 / 400)
    assert error > 0.02
    assert indistinguishable(0.70, 0.72, 400)
    assert indistinguishable(0.72, 0.70, 400)
    assert not indistinguishable(0.70, 0.72, 4000)


def test_equal_perfect_scores_tie() -> None:
    assert indistinguishable(1.0, 1.0, 50)
