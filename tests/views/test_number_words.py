from collections import Counter

import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.views.number_words import counterfactual, counterfactuals, number_in, said


@pytest.mark.parametrize(
    ("caption", "number"),
    [
        ("three dogs on a bench", 3),
        ("Ten kittens, often asleep", 10),
        ("a network of stones", None),
        ("two cats and three dogs", None),
        ("two cats in 1999", None),
        ("2 dogs", None),
        ("one dog", None),
        ("", None),
    ],
)
def test_numbers_are_whole_words_and_single(caption, number):
    assert number_in(caption) == number


def test_the_eight_wrong_captions():
    wrong = counterfactuals("Three kittens of tender age")
    assert len(set(wrong)) == 8
    assert wrong[0] == "Two kittens of tender age"
    assert all(caption.endswith(" kittens of tender age") for caption in wrong)
    assert "Three kittens of tender age" not in wrong
    assert said("a row of six eggs", 9) == "a row of nine eggs"


def test_a_draw_is_even_and_never_true():
    torch.manual_seed(0)
    drawn = Counter(counterfactual("four eggs") for _ in range(1600))
    assert set(drawn) == set(counterfactuals("four eggs"))
    assert max(drawn.values()) < 270
    again = [counterfactual("four eggs", generator=torch.Generator().manual_seed(3))] * 2
    assert again[0] == again[1]


def test_captions_without_a_number_are_refused():
    with pytest.raises(DataError, match="exactly one number"):
        counterfactual("some dogs")
    with pytest.raises(DataError, match="2 to 10"):
        said("two dogs", 11)
