"""Ready descriptions of pairs, a block at a time and as the mean of the positives."""

import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.pairs import (
    Attraction,
    Diagonal,
    Groups,
    LabelDistance,
    NotDuplicates,
    SameLabel,
    SecondSpace,
    SparsePairs,
    not_self,
)

N, M = 4, 5
ANCHOR_LABELS, LABELS = torch.tensor([0, 1, 2, -1]), torch.tensor([1, 1, 0, -1, 3])


def whole(pairs, rows=N, columns=M):
    """Asked for in four blocks and put together."""
    i, j = torch.arange(rows)[:, None], torch.arange(columns)[None]
    blocks = [[pairs(a, b) for b in (j[:, :2], j[:, 2:])] for a in (i[:1], i[1:])]
    return torch.cat([torch.cat(row, 1) for row in blocks])


def test_masks():
    assert torch.equal(whole(Diagonal()), torch.eye(N, M, dtype=torch.bool))
    assert torch.equal(whole(not_self), ~torch.eye(N, M, dtype=torch.bool))
    same = ANCHOR_LABELS[:, None] == LABELS
    assert torch.equal(whole(Groups(ANCHOR_LABELS, LABELS)), same)
    assert torch.equal(whole(Groups(ANCHOR_LABELS, LABELS, within=False)), ~same)
    assert torch.equal(whole(SameLabel(ANCHOR_LABELS, LABELS)), same & (LABELS >= 0))
    ids, other = torch.tensor([7, 7, 8, 9]), torch.tensor([7, 8, 9, 9, 7])
    differ = ids[:, None] != other
    assert torch.equal(whole(NotDuplicates(ids, other)), differ)
    kept = whole(NotDuplicates(ids, other, torch.arange(N), torch.arange(M)))
    assert torch.equal(kept, differ | torch.eye(N, M, dtype=torch.bool))


def test_label_distance():
    pairs = LabelDistance(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 3.0]), lambda d: d < 1)
    assert whole(pairs, 2, 2).tolist() == [[True, False], [True, False]]


@pytest.mark.parametrize(
    "pairs",
    [
        SameLabel(ANCHOR_LABELS, LABELS),
        SecondSpace(torch.randn(N, 3).double(), torch.randn(M, 3).double()),
        SecondSpace(torch.randn(N, 2, 3).double(), torch.randn(M, 2, 3).double()),
        SparsePairs(torch.tensor([0, 0, 2, 2]), torch.tensor([1, 4, 3, 3]), (N, M)),
        SparsePairs(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long), (N, M)),
    ],
    ids=["label", "space", "channels", "sparse", "none"],
)
def test_attraction_is_the_weighted_mean_of_the_blocks(pairs):
    assert isinstance(pairs, Attraction)
    candidates = torch.randn(M, 2, dtype=torch.float64, requires_grad=True)
    weights = whole(pairs).double()
    mass = weights.sum(1, keepdim=True)
    mean, counted = pairs.attraction(candidates)
    assert torch.equal(counted, mass[:, 0] > 0)
    dense = torch.where(mass > 0, weights @ candidates / mass.clamp(min=1e-9), 0.0)
    torch.testing.assert_close(mean, dense, rtol=1e-6, atol=1e-7)


def test_rows_of_one_set_are_not_their_own_positives():
    labels = torch.tensor([0, 0, 1, -1])
    pairs = SameLabel(labels)
    assert not whole(pairs, 4, 4).diagonal().any()
    z = torch.randn(4, 3)
    mean, counted = pairs.attraction(z)
    torch.testing.assert_close(mean[:2], z[:2].flip(0))
    assert counted.tolist() == [True, True, False, False]


def test_second_space_lies_between_0_and_1_and_survives_zeros():
    r = torch.randn(6, 3)
    r[2] = 0
    weights = whole(SecondSpace(r), 6, 6)
    assert weights.min() >= -1e-6
    assert weights.max() <= 1 + 1e-6
    torch.testing.assert_close(weights[2], torch.full((6,), 0.5))


def test_what_does_not_fit_is_refused():
    one = torch.tensor([0])
    with pytest.raises(DataError, match="from 0 to 3"):
        SparsePairs(torch.tensor([4]), one, (N, M))
    with pytest.raises(DataError, match="weights"):
        SparsePairs(one, one, (N, M), torch.ones(2))
    with pytest.raises(DataError, match="floats"):
        SecondSpace(torch.ones(3, 2, dtype=torch.long))
    with pytest.raises(DataError, match="function"):
        SparsePairs(one, one, (N, M)).attraction(torch.randn(M, 2), across_ranks=True)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_same_label_gives_the_same_bits_in_every_run_on_two_threads(two_threads):
    labels = torch.randint(0, 60, (1024,))
    z = torch.randn(1024, 128)

    def gradient():
        rows = z.clone().requires_grad_()
        means, _ = SameLabel(labels).attraction(rows)
        (grad,) = torch.autograd.grad((means * rows).sum(), rows)
        return grad

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(10))
