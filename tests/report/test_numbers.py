import math

import pytest

from counterpoint.report import numbers


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.decimal(-2.714), "\u22122.71"),
        (numbers.decimal(-0.001), "0.00"),
        (numbers.decimal(12345.678, 1), "12\u202f345.7"),
        (numbers.percent(0.7123), "71.2\u202f%"),
        (numbers.percent(1.0), "100.0\u202f%"),
        (numbers.count(9999.6), "10\u202f000"),
        (numbers.duration(0.04), "0.0\u202fs"),
        (numbers.duration(59.96), "1\u202fmin 00\u202fs"),
        (numbers.duration(123), "2\u202fmin 03\u202fs"),
        (numbers.duration(3599.9), "1\u202fh 00\u202fmin"),
        (numbers.duration(4830), "1\u202fh 20\u202fmin"),
        (numbers.megabytes(688.4), "688\u202fMB"),
        (numbers.megabytes(2048), "2.0\u202fGB"),
    ],
)
def test_one_form_a_quantity(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize("value", [None, "0.5", True, math.nan, math.inf, -math.inf, [1.0]])
def test_what_is_not_a_finite_number_is_missing(value: object) -> None:
    assert numbers.finite(value) is None


def test_whole_numbers_are_numbers() -> None:
    assert numbers.finite(3) == 3.0
