from __future__ import annotations

import numpy as np

from counterpoint.curation.duplicates import conflicts, near_pairs, same_content


def test_texts_are_equal_but_for_case_and_white_space() -> None:
    assert same_content(["A b", "c", "a  B ", "C", "d"]).tolist() == [0, 1, 0, 1, 2]


def test_arrays_are_equal_by_value_and_shape() -> None:
    a = np.zeros((1, 2))
    assert same_content([a, a.copy(), a.T, a.astype(np.float32)]).tolist() == [0, 0, 1, 2]


def test_the_majority_stands_and_evidence_breaks_ties() -> None:
    group = np.array([0, 0, 0, 1, 1, 2])
    labels = np.array([1, 1, 0, 2, 3, 4])
    found = conflicts(group, labels, np.array([0.1, 0.1, 0.9, 0.2, 0.7, 0.0]))
    assert found.conflicting.tolist() == [True, True, True, True, True, False]
    assert found.stands.tolist() == [True, True, False, False, True, True]
    np.testing.assert_allclose(found.share, [2 / 3, 2 / 3, 1 / 3, 0.5, 0.5, 1])


def test_near_pairs_come_once_and_closest_first() -> None:
    similarity = np.array([[0.99, 0.5], [0.99, 0.97], [0.97, 0.2]])
    index = np.array([[1, 2], [0, 2], [1, 0]])
    assert near_pairs(similarity, index) == [(0, 1, 0.99), (1, 2, 0.97)]
    assert near_pairs(similarity, index, most=1) == [(0, 1, 0.99)]
