"""FT: what enters the queue, when features are transformed, and how its head ends."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from counterpoint import methods
from counterpoint.errors import SettingError
from counterpoint.methods.image.moco import MoCo


@pytest.fixture
def build(encoder_of):
    def make(**arguments):
        torch.manual_seed(0)
        method = methods.build(
            "feature-transformation", encoder_of("images"), **{"queue": 12, **arguments}
        )
        method.queue.enqueue(normalize(torch.randn(8, 128), dim=1), torch.arange(8) + 100)
        return method

    return make


def losses(method, progress=0.5, rows=4):
    """Its own loss and that of MoCo."""
    torch.manual_seed(1)
    method.before_step(progress)
    queries, keys, index = torch.randn(rows, 128), torch.randn(rows, 128), torch.arange(rows)
    plain = MoCo._loss(method, queries, keys, index)
    return float(method._loss(queries, keys, index)), float(plain)


def test_head_and_its_copy_end_in_batch_normalisation(build):
    """Without it extrapolation from the first step on can collapse."""
    method = build()
    assert isinstance(method.head[-1], nn.BatchNorm1d)
    assert isinstance(method.moving.network[1][-1], nn.BatchNorm1d)


def test_transforms_from_its_start_on(build):
    method = build(mix_from=0.3)
    mixed, plain = losses(method, 0.3)
    assert mixed != plain
    mixed, plain = losses(method, 0.29)
    assert mixed == plain


def test_extrapolated_positives_cost_more_and_interpolated_ones_less(build):
    only = {"negative_alpha": None}
    mixed, plain = losses(build(**only))
    assert mixed > plain
    mixed, plain = losses(build(extrapolate=False, **only))
    assert mixed < plain


def test_an_empty_queue_is_moco_and_a_queue_of_one_is_not_mixed(build):
    method = build(queue=1, positive_alpha=None)
    mixed, plain = losses(method)
    assert mixed == pytest.approx(plain, rel=1e-5)
    method.queue.fill.zero_()
    mixed, plain = losses(method)
    assert mixed == plain


def test_the_queue_receives_the_keys_as_they_were(build):
    method = build().train()
    method.before_step(0.5)
    keys = torch.randn(4, 128)
    batch = type("Batch", (), {"index": torch.arange(4)})
    method.contrast({"q": torch.randn(4, 128), "k": keys}, batch)
    torch.testing.assert_close(method.queue.features[8:], normalize(keys, dim=1))


def test_the_same_random_numbers_give_the_same_loss(build):
    for elementwise in (False, True):
        method = build(elementwise_positives=elementwise, elementwise_negatives=elementwise)
        assert losses(method) == losses(method)


@pytest.mark.parametrize("argument", ["positive_alpha", "negative_alpha"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_undefined_draws_are_refused(build, argument, value):
    with pytest.raises(SettingError, match=argument):
        build(**{argument: value})
