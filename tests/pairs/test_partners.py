import pytest
import torch

from counterpoint.encoders.preference_head import PreferenceHeads
from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.partners import (
    disagreement,
    in_proportion,
    preferred_by_votes,
    same_class_candidates,
    strongest,
)

LABELS = torch.tensor([0, 1, 0, 1, 0, 2, 0])


def test_candidates_are_others_of_the_class():
    found = same_class_candidates(LABELS, 5, torch.Generator().manual_seed(0))
    for row, candidates in enumerate(found.tolist()):
        real = [c for c in candidates if c >= 0]
        members = (LABELS[row] == LABELS).nonzero().flatten().tolist()
        assert sorted(real) == [m for m in members if m != row]
    assert found[5].eq(-1).all()
    few = same_class_candidates(LABELS, 2)
    assert few.shape == (7, 2)
    assert len(set(few[0].tolist())) == 2
    with pytest.raises(SettingError):
        same_class_candidates(LABELS, 0)


def test_disagreement_counts_pairs_of_heads():
    torch.manual_seed(0)
    scores = torch.randint(3, (4, 7)).double()
    candidates = same_class_candidates(LABELS, 3)
    found = disagreement(scores, candidates)
    for i in range(7):
        for place, j in enumerate(candidates[i].tolist()):
            signs = [(scores[k, i] - scores[k, j]).sign().item() for k in range(4)]
            pairs = sum(signs[k] != signs[m] for k in range(4) for m in range(k))
            assert found[i, place] == (pairs if j >= 0 else -1)


def test_strongest_breaks_ties_by_the_draws():
    candidates = torch.tensor([[3, 4, 5], [6, -1, -1], [-1, -1, -1]])
    values = torch.tensor([[2, 2, 1], [0, 9, 9], [0, 0, 0]])
    draws = torch.tensor([[0.1, 0.2, 0.9], [0.5, 0.6, 0.7], [0.1, 0.1, 0.1]])
    assert strongest(candidates, values, draws=draws).tolist() == [4, 6, -1]
    seen = {int(strongest(candidates, values)[0]) for _ in range(40)}
    assert seen == {3, 4}


def test_in_proportion_follows_the_normalised_values():
    candidates = torch.tensor([[3, 4, 5, -1]]).expand(4000, 4)
    values = torch.tensor([[1.0, 2.0, 4.0, 99.0]]).expand(4000, 4)
    drawn = in_proportion(candidates, values, generator=torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=6) / 4000
    torch.testing.assert_close(share[3:], torch.tensor([0.0, 0.25, 0.75]), atol=0.03, rtol=0)
    equal = in_proportion(candidates, 0 * values, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        torch.bincount(equal)[3:] / 4000, torch.full((3,), 1 / 3), atol=0.03, rtol=0
    )
    fixed = in_proportion(candidates[:2], values[:2], draws=torch.tensor([0.0, 0.999]))
    assert fixed.tolist() == [4, 5]
    assert in_proportion(torch.tensor([[-1, -1]]), torch.zeros(1, 2)).tolist() == [-1]
    with pytest.raises(DataError, match="one shape"):
        in_proportion(candidates, values[:, :2])


def test_votes_become_three_valued_preferences():
    votes1 = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.6, 0.4]])
    votes2 = torch.tensor([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1]])
    assert preferred_by_votes(votes1, votes2, torch.tensor([0, 1, 0])).tolist() == [2, 1, 0]


def test_heads_score_within_bounds_and_know_the_label():
    torch.manual_seed(0)
    h = torch.randn(5, 4)
    for heads in (PreferenceHeads(4), PreferenceHeads(4, classes=3)):
        one, other = (heads(h, torch.full((5,), y)) for y in (1, 2))
        assert one.shape == (3, 5)
        assert one.abs().max() < 1
        assert not torch.allclose(one, other)
        assert not torch.allclose(one[0], one[1])
    with pytest.raises(SettingError):
        PreferenceHeads(4, heads=0)
