from __future__ import annotations

import pytest

from counterpoint.data.relations import check_template, marked
from counterpoint.errors import SettingError


@pytest.mark.parametrize(
    ("subject", "object_", "text", "expected"),
    [
        ("cat", "mat", "The cat sat on a mat.", "The [E1] cat [/E1] sat on a [E2] mat [/E2]."),
        ("mat", "cat", "The cat sat on a mat.", "The [E2] cat [/E2] sat on a [E1] mat [/E1]."),
        ("Cat", "a", "cat, a cat", "[E1] cat [/E1], [E2] a [/E2] cat"),
        ("New York", "York", "New York or York", "[E1] New York [/E1] or [E2] York [/E2]"),
        ("is", "a+b", "this is a+b", "this [E1] is [/E1] [E2] a+b [/E2]"),
        ("west", "x", "the northwest of x", "the north[E1] west [/E1] of [E2] x [/E2]"),
    ],
)
def test_entities_are_marked_where_they_stand(
    subject: str, object_: str, text: str, expected: str
) -> None:
    assert marked(subject, object_, text) == (expected, ())


def test_entities_that_are_not_there_come_first() -> None:
    said, missing = marked("cat", "dog", "A dog.")
    assert (said, missing) == ("[E1] cat [/E1] [E2] dog [/E2] A dog.", ("subject",))
    assert marked("cat", "dog", "")[1] == ("subject", "object")
    assert marked("dog", "dog", "A dog.")[1] == ("object",)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{subject}", "lacks {object}"),
        ("{subject} {object} {label}", "got {label}"),
        ("{subject} {object", "expected '}'"),
        ("{subject!r} {object}", "without formats"),
        ("{subject.__class__} {object}", "got {subject.__class__}"),
        ("{subject} {object} {text}", "name the column with text="),
    ],
)
def test_templates_are_checked(template: str, said: str) -> None:
    with pytest.raises(SettingError) as error:
        check_template(template, with_text=False)
    assert said in str(error.value)
    check_template("{object} of {subject}: {text}", with_text=True)
