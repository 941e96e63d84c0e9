"""MoCHi mixes when it may, and is MoCo until then."""

import pytest
import torch

from counterpoint import methods
from counterpoint.errors import SettingError


@pytest.fixture
def method(encoder_of):
    return methods.build("mochi", encoder_of("images"), hardest=8, queue=32, mix_from=0.5)


def losses(method, progress, ids):
    """With and without mixing, at one progress, for a queue that holds ``ids``."""
    torch.manual_seed(0)
    method.before_step(progress)
    method.queue.enqueue(torch.nn.functional.normalize(torch.randn(len(ids), 128), dim=1), ids)
    queries, keys = torch.randn(4, 128), torch.randn(4, 128)
    index = torch.arange(4)
    plain = super(type(method), method)._loss(queries, keys, index)
    return float(method._loss(queries, keys, index)), float(plain)


def test_synthetic_negatives_raise_the_loss(method):
    mixed, plain = losses(method, 0.5, torch.arange(20))
    assert mixed > plain


def test_is_moco_before_its_start(method):
    mixed, plain = losses(method, 0.4, torch.arange(20))
    assert mixed == plain


def test_is_moco_while_an_image_could_not_mix_enough_keys_of_others(method):
    mixed, plain = losses(method, 0.5, torch.tensor([0] * 13 + list(range(1, 8))))
    assert mixed == plain


def test_hardest_beyond_the_queue_is_refused(encoder_of):
    with pytest.raises(SettingError, match="hardest"):
        methods.build("mochi", encoder_of("images"), hardest=33, queue=32)
