import pytest

from counterpoint.data.classes import class_name, number_classes


def test_numbers_follow_natural_order():
    classes, labels = number_classes(["class 10", "class 2", "b", "class 2"])
    assert classes == ("b", "class 2", "class 10")
    assert labels.tolist() == [2, 1, 0, 1]


def test_integers_are_ordered_as_numbers():
    assert number_classes([10, 9, 2])[0] == ("2", "9", "10")


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan")])
def test_missing_is_minus_one(missing):
    classes, labels = number_classes(["x", missing])
    assert classes == ("x",)
    assert labels.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("value", "name"), [(3.0, "3"), (2.5, "2.5"), (True, "True"), (" a ", "a"), (0, "0")]
)
def test_name_of_any_type(value, name):
    assert class_name(value) == name
