import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.interactions import Interactions

USERS = torch.tensor([0, 0, 0, 0, 1, 1, 3, 3, 3, 3, 3, 3, 1])
ITEMS = torch.tensor([5, 1, 3, 0, 2, 4, 0, 1, 2, 3, 4, 5, 2])


@pytest.fixture
def table():
    return Interactions(USERS, ITEMS, user_count=4, item_count=6)


def test_pools_hold_the_users_items(table):
    pool = table.pool(torch.tensor([0, 1, 3]), 4, torch.Generator().manual_seed(0))
    assert sorted(pool[0].tolist()) == [0, 1, 3, 5]
    assert set(pool[1].tolist()) <= {2, 4}
    assert len(set(pool[2].tolist())) == 4
    seen = torch.cat([table.pool(torch.tensor([0]), 2).flatten() for _ in range(60)])
    assert set(seen.tolist()) == {0, 1, 3, 5}


def test_negatives_are_uniform_over_the_rest(table):
    drawn = table.negative(torch.zeros(4000, dtype=torch.int64), torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {2, 4}
    assert (drawn == 2).double().mean().item() == pytest.approx(0.5, abs=0.03)
    others = table.negative(torch.ones(2000, dtype=torch.int64))
    assert set(others.tolist()) == {0, 1, 3, 5}
    assert set(table.negative(torch.full((500,), 2)).tolist()) == set(range(6))


def test_knows_its_pairs(table):
    users, items = torch.arange(4)[:, None], torch.arange(6)
    found = table.has(users, items)
    assert set(map(tuple, found.nonzero().tolist())) == set(
        zip(USERS.tolist(), ITEMS.tolist(), strict=True)
    )


def test_users_with_nothing_or_everything_are_named(table):
    with pytest.raises(DataError, match="User 2 has no interaction"):
        table.pool(torch.tensor([0, 2]))
    with pytest.raises(DataError, match="User 3 has every item"):
        table.negative(torch.tensor([0, 3]))
    with pytest.raises(SettingError):
        table.pool(torch.tensor([0]), 0)
    with pytest.raises(DataError, match="items"):
        Interactions(USERS, ITEMS, 4, 5)
    with pytest.raises(DataError, match="must be"):
        Interactions(USERS, ITEMS[:3], 4, 6)
