import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import DataError
from counterpoint.training.order import Order


@given(
    samples=st.integers(8, 60),
    batch=st.integers(2, 70),
    ranks=st.integers(1, 4),
    drop=st.booleans(),
)
def test_an_epoch_holds_each_sample_at_most_once(samples, batch, ranks, drop):
    if min(samples, batch) < 2 * ranks:
        return
    order = Order(samples, batch, seed=3, drop_last=drop, ranks=ranks)
    steps = [
        torch.cat([order.rows(s, r) for r in range(ranks)]) for s in range(order.steps_per_epoch)
    ]
    seen = torch.cat(steps).tolist()
    assert len(seen) == len(set(seen))
    assert all(len(order.rows(s, 0)) >= 2 for s in range(order.steps_per_epoch))
    left = samples - len(seen)
    assert left < (order.size if drop else 2 * ranks)


def test_ranks_share_the_batch_of_one_process():
    one, two = Order(20, 8, seed=1), Order(20, 8, seed=1, ranks=2)
    for step in range(5):
        parts = torch.cat([two.rows(step, rank) for rank in range(2)])
        assert torch.equal(parts, one.rows(step))


def test_epochs_are_shuffled_anew_and_repeat_with_the_seed():
    order = Order(64, 64, seed=0)
    assert order.rows(0).tolist() != order.rows(1).tolist()
    assert torch.equal(order.rows(1), Order(64, 64, seed=0).rows(1))
    assert order.rows(0).tolist() != Order(64, 64, seed=1).rows(0).tolist()
    assert (order.epoch(1), order.starts_epoch(1)) == (1, True)


def test_the_rest_of_an_epoch():
    assert Order(21, 10, 0).steps_per_epoch == 2
    assert Order(21, 10, 0, drop_last=False).steps_per_epoch == 2
    assert Order(22, 10, 0, drop_last=False).steps_per_epoch == 3
    assert Order(5, 10, 0).rows(0).sort().values.tolist() == [0, 1, 2, 3, 4]


def test_too_little_data():
    with pytest.raises(DataError, match="at least 2 samples"):
        Order(1, 8, 0)
    with pytest.raises(DataError, match="too small for 4 devices"):
        Order(100, 7, 0, ranks=4)
