import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.probes.pair_recall import pair_recall


def test_it_is_the_share_of_diagonal_maxima():
    torch.manual_seed(0)
    x, y = torch.randn(30, 5), torch.randn(30, 5)
    y = y + x
    s = torch.cosine_similarity(x[:, None], y[None], dim=2)
    own = torch.arange(30)
    wanted = [(s.argmax(dim) == own).float().mean().item() for dim in (1, 0)]
    assert pair_recall(x, y) == pytest.approx(wanted)
    assert 0 < wanted[0] < 1


def test_its_limits():
    x = torch.eye(4)
    assert pair_recall(x, 3 * x) == (1.0, 1.0)
    assert pair_recall(x, x.roll(1, 0)) == (0.0, 0.0)
    assert pair_recall(torch.ones(4, 2), torch.ones(4, 2)) == (0.25, 0.25)
    long = torch.tensor([[1.0, 0.0], [9.0, 1.0]])
    assert pair_recall(long, long, normalize=False) == (0.5, 0.5)


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="rows"):
        pair_recall(torch.ones(3, 2), torch.ones(4, 2))
