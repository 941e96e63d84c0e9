import torch

from counterpoint.data.dataset import Split
from counterpoint.data.items import ImageStack
from counterpoint.encoders.base import Encoder
from counterpoint.training.loader import Batches, loader, make_views
from counterpoint.training.order import Order
from counterpoint.views import augment


class Floats(Encoder):
    """Collates numbers."""

    def prepare(self, items):
        return items if isinstance(items, torch.Tensor) else torch.stack(list(items))


def noisy(item):
    return item.float().mean() + torch.rand(()), {"box": torch.rand(4)}


def split(count=10):
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, 8, 8)
    return Split(ImageStack(pixels), list("abcdefghij"), torch.arange(count) % 3)


def test_a_view_depends_on_seed_epoch_sample_and_view_alone():
    small, large = Order(10, 2, seed=5), Order(10, 5, seed=5)
    views = [noisy, noisy]
    seen = {}
    for order in (small, large):
        batches = Batches(split(), views, Floats(), order)
        for step in range(order.steps_per_epoch):
            batch = batches[step]
            for at, index in enumerate(batch.index.tolist()):
                values = [float(view[at]) for view in batch.views]
                assert values[0] != values[1]
                assert seen.setdefault(index, values) == values
    later = Batches(split(), views, Floats(), large)[2]
    assert float(later.views[0][0]) != seen[int(later.index[0])][0]


def test_batch_has_labels_and_meta():
    batch = Batches(split(), [noisy], Floats(), Order(10, 4, seed=0))[0]
    assert torch.equal(batch.labels, batch.index % 3)
    assert batch.meta[0]["box"].shape == (4, 4)


def test_worker_processes_make_the_same_batches(digits):
    order = Order(len(digits.train), 32, seed=0)
    view = augment(digits)
    batches = Batches(digits.train, [view, view], Floats(), order)
    here = list(loader(batches, range(3, 7), workers=0))
    there = list(loader(batches, range(3, 7), workers=2))
    assert len(here) == 4
    for mine, theirs in zip(here, there, strict=True):
        assert torch.equal(mine.index, theirs.index)
        assert torch.equal(mine.views[1], theirs.views[1])
    assert torch.equal(here[0].index, order.rows(3))


def test_views_outside_of_training_repeat():
    rows = torch.tensor([3, 1])
    first = make_views(split(), [noisy], Floats(), rows, seed=1)
    again = make_views(split(), [noisy], Floats(), rows, seed=1)
    other = make_views(split(), [noisy], Floats(), rows, seed=2)
    assert torch.equal(first.views[0], again.views[0])
    assert not torch.equal(first.views[0], other.views[0])
