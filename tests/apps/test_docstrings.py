from __future__ import annotations

from counterpoint.apps import docstrings


def sample(first: int, second: str = "x") -> int:
    """Adds up.

    More on it,
    in two lines.

    Args:
        first: a number,
            and more: of it.
        second: another.

    Returns:
        The sum.

    Source: Someone 2020, Eq. 1.
    """
    return first + len(second)


def test_docstrings_are_split() -> None:
    found = docstrings.read(sample)
    assert found.summary == "Adds up."
    assert found.about == "More on it,\nin two lines."
    assert found.arguments == {"first": "a number, and more: of it.", "second": "another."}
    assert found.sections == {"Returns": "The sum.", "Source": "Someone 2020, Eq. 1."}


def begins_with_a_formula() -> None:
    """Adds up, that is::

        1 + 1

    No more.
    """


def test_a_formula_at_the_beginning_keeps_its_indent() -> None:
    assert docstrings.read(begins_with_a_formula).about == "    1 + 1\n\nNo more."
