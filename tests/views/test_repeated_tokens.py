import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.views.repeated_tokens import repeat_tokens, repeat_words, repetitions


def test_law_of_the_released_view():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.arange(20)
    cap = min(10, int(0.32 * 20))
    added, doubled = [], torch.zeros(20)
    for _ in range(4000):
        view = repeat_tokens(tokens, generator=generator)
        counts = torch.bincount(view, minlength=20)
        assert torch.equal(view.unique_consecutive(), tokens)
        assert counts.max() <= 2
        added.append(len(view) - 20)
        doubled += counts - 1
    assert set(added) == set(range(cap))
    assert sum(added) / 4000 == pytest.approx((cap - 1) / 2, abs=0.1)
    assert doubled[0] == doubled[-1] == 0
    share = (cap - 1) / 2 / 18
    assert (doubled[1:-1] / 4000 - share).abs().max() < 4 * (share / 4000) ** 0.5


def test_sizes_of_both_variants():
    assert [repetitions(n, 0.32) for n in (3, 4, 7, 20, 31, 32, 100)] == [0, 0, 1, 5, 8, 9, 9]
    assert [repetitions(n, 0.32, "paper") for n in (2, 3, 4, 7, 20, 100)] == [0, 1, 2, 2, 6, 32]
    assert repetitions(5, 0.99, "paper") == 3


def test_short_and_odd_sequences():
    for n in (1, 2, 3):
        tokens = torch.arange(n)
        assert torch.equal(repeat_tokens(tokens), tokens)
        assert len(repeat_tokens(tokens, variant="paper")) <= n + max(n - 2, 0)
    for rate in (0.0, 0.05):
        assert torch.equal(repeat_tokens(torch.arange(9), rate), torch.arange(9))


def test_places_replay_a_draw():
    tokens = torch.tensor([101, 7, 8, 9, 102])
    view = repeat_tokens(tokens, places=torch.tensor([3, 1]))
    assert view.tolist() == [101, 7, 7, 8, 9, 9, 102]
    for wrong in ([0], [4], [1, 1], [-1]):
        with pytest.raises(DataError, match="inner"):
            repeat_tokens(tokens, places=torch.tensor(wrong))
    with pytest.raises(SettingError, match="rate"):
        repeat_tokens(tokens, 1.0)
    with pytest.raises(SettingError, match="variant"):
        repeat_tokens(tokens, variant="code")
    with pytest.raises(DataError, match="tokens"):
        repeat_tokens(tokens[None])


def test_words():
    generator = torch.Generator().manual_seed(1)
    assert repeat_words("") == ""
    assert repeat_words("   ") == "   "
    assert repeat_words("one", generator=generator) == "one"
    text = "a b c d e f g h i j"
    added, last = set(), set()
    for _ in range(500):
        words = repeat_words(text, generator=generator).split()
        added.add(len(words) - 10)
        last.add(words.count("j"))
        assert [w for i, w in enumerate(words) if i == 0 or words[i - 1] != w] == text.split()
    assert added == {0, 1, 2}
    assert last == {1}
    with pytest.raises(SettingError, match="rate"):
        repeat_words("a b", -0.1)
