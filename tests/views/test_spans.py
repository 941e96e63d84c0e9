import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.views.spans import IndependentSpans, change_tokens, chunks, random_span


def test_starts_are_even_and_lengths_in_range():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.arange(20)
    starts = torch.zeros(20)
    for _ in range(6000):
        span = random_span(tokens, (0.5, 0.5), generator=generator)
        assert len(span) == 10
        assert torch.equal(span, torch.arange(int(span[0]), int(span[0]) + 10))
        starts[span[0]] += 1
    assert (starts[11:] == 0).all()
    assert (starts[:11] / 6000 - 1 / 11).abs().max() < 0.02


def test_lengths_at_the_defaults():
    tokens = torch.arange(256)
    shortest = random_span(tokens, draws=torch.zeros(2, dtype=torch.float64))
    longest = random_span(tokens, draws=torch.tensor([1 - 1e-9, 1 - 1e-9], dtype=torch.float64))
    assert torch.equal(shortest, torch.arange(12))
    assert torch.equal(longest, torch.arange(129, 256))


def test_spans_are_never_empty():
    assert len(random_span(torch.arange(3), draws=torch.zeros(2))) == 1
    kept = change_tokens(
        torch.arange(5), "delete", 1.0, draws=torch.tensor([0.1, 0.5, 0.9, 0.2, 0])
    )
    assert kept.tolist() == [2]
    with pytest.raises(DataError, match="at least 1"):
        random_span(torch.arange(0))


def test_changes():
    tokens, draws = torch.arange(10, 16), torch.tensor([0.05, 0.5, 0.1, 0.9, 0.02, 0.3])
    chosen = torch.tensor([0, 2, 4])
    assert change_tokens(tokens, draws=draws).tolist() == [11, 13, 15]
    masked = change_tokens(tokens, "mask", mask=1, draws=draws)
    assert masked.tolist() == [1, 11, 1, 13, 1, 15]
    replaced = change_tokens(tokens, "replace", vocabulary=torch.tensor([3, 4]), draws=draws)
    assert set(replaced[chosen].tolist()) <= {3, 4}
    assert replaced[[1, 3, 5]].tolist() == [11, 13, 15]
    shuffled = change_tokens(tokens, "shuffle", draws=draws)
    assert sorted(shuffled[chosen].tolist()) == [10, 12, 14]
    assert shuffled[[1, 3, 5]].tolist() == [11, 13, 15]
    assert torch.equal(change_tokens(tokens, "none"), tokens)
    assert torch.equal(change_tokens(tokens, "delete", 0.0), tokens)
    assert tokens.tolist() == list(range(10, 16))


def test_share_of_deleted_tokens():
    generator = torch.Generator().manual_seed(0)
    kept = change_tokens(torch.arange(20000), generator=generator)
    assert len(kept) / 20000 == pytest.approx(0.9, abs=0.01)


def test_views_are_independent_and_exchangeable():
    torch.manual_seed(0)
    view = IndependentSpans((0.25, 0.25), "none")
    pairs = torch.tensor([[int(x[0]) for x in view(torch.arange(16))] for _ in range(4000)])
    assert pairs.float().T.corrcoef()[0, 1].abs() < 0.05
    assert (pairs[:, 0].float().mean() - pairs[:, 1].float().mean()).abs() < 0.3
    overlap = ((pairs[:, 0] - pairs[:, 1]).abs() < 4).float().mean()
    expected = sum(abs(a - b) < 4 for a in range(13) for b in range(13)) / 169
    assert overlap.item() == pytest.approx(expected, abs=0.03)


def test_chunks_move_with_the_offset():
    stream = torch.arange(11)
    assert chunks(stream, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert chunks(stream, 4, 3).tolist() == [[3, 4, 5, 6], [7, 8, 9, 10]]
    assert chunks(stream, 20).shape == (0, 20)
    with pytest.raises(SettingError, match="offset"):
        chunks(stream, 4, 4)


def test_bad_settings_are_refused():
    tokens = torch.arange(5)
    for shares in ((0.0, 0.5), (0.5, 0.1), (0.5, 1.5)):
        with pytest.raises(SettingError, match="shares"):
            random_span(tokens, shares)
    with pytest.raises(SettingError, match="how"):
        change_tokens(tokens, "swap")
    with pytest.raises(SettingError, match="probability"):
        change_tokens(tokens, probability=2)
    with pytest.raises(SettingError, match="mask"):
        change_tokens(tokens, "mask")
    with pytest.raises(SettingError, match="vocabulary"):
        change_tokens(tokens, "replace")
