import pytest
import torch

from counterpoint.errors import SettingError
from counterpoint.pairs.queue import MemoryQueue


def rows(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def held(queue):
    return sorted(queue.features[:, 0].tolist())


def test_grows_then_overwrites_the_oldest():
    queue = MemoryQueue(4, 1)
    assert len(queue) == 0
    assert queue.features.shape == (0, 1)
    queue.enqueue(rows(1, 2, 3), ids=torch.tensor([11, 12, 13]), labels=torch.tensor([0, 1, 0]))
    assert held(queue) == [1, 2, 3]
    queue.enqueue(rows(4, 5))
    assert held(queue) == [2, 3, 4, 5]
    assert dict(zip(queue.features[:, 0].tolist(), queue.ids.tolist(), strict=True)) == {
        2: 12,
        3: 13,
        4: -1,
        5: -1,
    }
    assert sorted(queue.labels.tolist()) == [-1, -1, 0, 1]


@pytest.mark.parametrize("count", [4, 5, 9, 10])
def test_more_rows_than_it_holds(count):
    queue = MemoryQueue(4, 1)
    queue.enqueue(rows(-1))
    queue.enqueue(rows(*range(count)), ids=torch.arange(count))
    assert held(queue) == list(range(count - 4, count))
    queue.enqueue(rows(100))
    assert held(queue) == [*range(count - 3, count), 100]


def test_features_are_not_changed_by_later_rows_and_carry_no_gradient():
    queue = MemoryQueue(2, 1)
    queue.enqueue(rows(1, 2).requires_grad_())
    before = queue.features
    queue.enqueue(rows(3))
    assert before[:, 0].tolist() == [1, 2]
    assert not queue.features.requires_grad


def test_state_goes_on_elsewhere():
    first, second = MemoryQueue(3, 1), MemoryQueue(3, 1)
    first.enqueue(rows(1, 2))
    second.load_state_dict(first.state_dict())
    for queue in (first, second):
        queue.enqueue(rows(3, 4))
    assert torch.equal(first.features, second.features)
    assert len(second) == 3


def test_random_start_is_full_of_unit_vectors():
    queue = MemoryQueue(8, 5, start="random")
    assert len(queue) == 8
    assert torch.allclose(queue.features.norm(dim=1), torch.ones(8))
    assert queue.ids.eq(-1).all()


def test_wrong_settings():
    with pytest.raises(SettingError):
        MemoryQueue(0, 3)
    with pytest.raises(SettingError):
        MemoryQueue(3, 3, start="full")
