from __future__ import annotations

import numpy as np

from counterpoint.data.label_sets import is_list, label_set, mark, rewritten


def test_label_sets_of_lists_and_of_text() -> None:
    assert label_set(["a", "b", "a", None, " "]) == ["a", "b"]
    assert label_set({"b", "a"}) == ["a", "b"]
    assert label_set(np.array([2, 1])) == [2, 1]
    assert label_set([]) == []
    assert label_set(None) is None
    assert label_set(float("nan")) is None
    assert label_set(" ", "|") is None
    assert label_set("a | b||a", "|") == ["a", "b"]
    assert label_set("a|b") == ["a|b"]
    assert label_set(3, "|") == [3]


def test_text_is_no_list() -> None:
    assert [is_list(value) for value in ("ab", None, 3, ("a",), np.eye(2))] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_marks() -> None:
    classes, marks = mark([["b"], None, []], [["c 10", "c 2"]])
    assert classes == ("b", "c 2", "c 10")
    assert marks.tolist() == [
        [True, False, False],
        [False] * 3,
        [False] * 3,
        [False, True, True],
    ]


def test_rewritten_keeps_order_and_spelling() -> None:
    values = ["b | a", " c|a", "a", None]
    classes, old = mark([label_set(value, "|") for value in values])
    new = old.copy()
    new[0] = [True, True, True]
    new[2] = False
    assert rewritten(values, old, new, classes, "|") == ["b | a | c", " c|a", "", None]
    assert rewritten(["b| a", " c| a", "a", None], old, new, classes, "|")[0] == "b| a| c"
    lists = [[2, 1], [1.0]]
    classes, old = mark(lists)
    assert rewritten(lists, old, ~old, classes) == [[], [2]]
