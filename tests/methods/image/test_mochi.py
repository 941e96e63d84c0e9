"""MoCHi mixes when it may, and is MoCo until then."""

import pytest
import torch
from torch.nn.functional import normalize

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


def test_without_mixtures_it_is_moco_to_the_last_digit(encoder_of):
    method = methods.build(
        "mochi", encoder_of("images"), hardest=8, queue=32, pairs=0, with_query=0, mix_from=0.0
    )
    mixed, plain = losses(method, 0.5, torch.arange(20))
    assert mixed == pytest.approx(plain, rel=1e-6)


def test_every_query_has_its_own_hardest_and_real_keys_alone_are_kept(method):
    """Queries far apart, each beside one key: mixtures of those keys raise the loss of all."""
    torch.manual_seed(0)
    method.train().before_step(1.0)
    keys = torch.eye(12, 128)
    method.queue.enqueue(keys, torch.arange(12) + 100)
    queries, index = torch.eye(12, 128)[:4], torch.arange(4)
    plain = super(type(method), method)._loss(queries, -queries, index)
    assert method._loss(queries, -queries, index) > plain + 0.5
    batch = type("Batch", (), {"index": index})
    method.contrast({"q": queries, "k": torch.randn(4, 128)}, batch)
    assert len(method.queue) == 16
    assert torch.equal(method.queue.features[:12], keys)


def test_half_precision_does_not_reach_the_objective(method):
    torch.manual_seed(0)
    method.before_step(1.0)
    method.queue.enqueue(normalize(torch.randn(20, 128), dim=1), torch.arange(20) + 100)
    queries, keys, index = torch.randn(4, 128), torch.randn(4, 128), torch.arange(4)
    found = []
    for half in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found.append(float(method._loss(queries, keys, index)))
    assert found[1] == pytest.approx(found[0], rel=1e-5)
