from random import Random

import pytest

from counterpoint.curation.self_consistency import majority, split_by_majority
from counterpoint.errors import DataError


def test_majority_splits_the_samples():
    assert split_by_majority([4, 7, 4, 4, 9]) == ([0, 2, 3], [1, 4])
    assert split_by_majority(["a"]) == ([0], [])


def test_gold_decides_ties_only():
    assert majority([1, 2, 1, 2], gold=2) == 2
    assert majority([1, 1, 2], gold=2) == 1
    seen = {majority([1, 2, 3], gold=9, generator=Random(seed)) for seed in range(20)}
    assert seen == {1, 2, 3}


def test_no_sample_is_refused():
    with pytest.raises(DataError, match="without samples"):
        split_by_majority([])
