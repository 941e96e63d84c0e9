from typing import Literal

import pytest
import torch

from counterpoint.engine.checks import (
    check_choice,
    check_integers,
    check_not_negative,
    check_positive,
    check_share,
)
from counterpoint.errors import DataError, SettingError

RANGES = [
    (check_positive, (1e-9, 1, 3e8), (0, -1.0)),
    (check_not_negative, (0, 0.0, 7), (-1e-9, -3)),
    (check_share, (0, 0.5, 1), (-0.1, 1.1)),
]


@pytest.mark.parametrize(("check", "inside", "outside"), RANGES)
def test_a_number_out_of_range_is_named(check, inside, outside):
    for value in inside:
        check(beta=value)
    for value in (*outside, float("nan"), float("inf")):
        with pytest.raises(SettingError, match=f"beta must be .*, not {value}"):
            check(alpha=0.5, beta=value)


def test_another_word_is_refused_with_the_right_ones():
    check_choice(Literal["mean", "sum"], total="sum")
    with pytest.raises(SettingError, match="total must be one of mean, sum, not 'max'"):
        check_choice(Literal["mean", "sum"], total="max")


def test_labels_outside_the_classes_are_refused_by_row():
    labels = torch.tensor([0, 2, -1, 3], dtype=torch.int32)
    assert check_integers("labels", labels, 4).dtype == torch.int64
    for classes, unknown, said in (
        (3, True, r"0\.\.2, or -1 for unknown; row 3 has 3"),
        (4, False, r"0\.\.3; row 2 has -1"),
    ):
        with pytest.raises(DataError, match=f"labels must be in {said}"):
            check_integers("labels", labels, 4, classes=classes, unknown=unknown)
    check_integers("labels", labels, 4, classes=4, unknown=True)
