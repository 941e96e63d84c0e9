"""Gradient caching equals encoding the chunks one after another."""

import pytest
import torch
from torch import nn

from counterpoint.data.batch import Batch
from counterpoint.engine import cached_encode
from counterpoint.errors import SettingError
from counterpoint.objectives import functional as F


def encoder():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4)
    )


def batch(rows=10):
    torch.manual_seed(1)
    return Batch(views=[torch.randn(rows, 6), torch.randn(rows, 6)], index=torch.arange(rows))


def encode_with(net):
    def encode(part):
        z1, z2 = net(part.views[0]), net(part.views[1])
        return {"z1": z1, "z2": z2, "keys": z2.detach() * 2}

    return encode


def plainly(encode, batch, chunk):
    parts = [encode(part) for part in batch.chunks(chunk)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def step(net, codes):
    loss = F.nt_xent(codes["z1"], codes["z2"]) + codes["z1"].square().mean()
    loss.backward()
    return loss, [p.grad for p in net.parameters()]


@pytest.mark.parametrize("chunk", [4, 10, 64])
def test_equals_the_plain_pass(chunk):
    plain, cached = encoder(), encoder()
    torch.manual_seed(2)
    loss, grads = step(plain, plainly(encode_with(plain), batch(), chunk))
    after = torch.rand(1)
    torch.manual_seed(2)
    codes = cached_encode(encode_with(cached), cached, batch(), chunk)
    cached_loss, cached_grads = step(cached, codes)
    assert torch.equal(torch.rand(1), after)
    torch.testing.assert_close(cached_loss, loss, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(cached_grads, grads, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(list(cached.buffers()), list(plain.buffers()), rtol=0, atol=0)
    assert not codes["keys"].requires_grad


@pytest.mark.parametrize(
    ("rows", "chunk", "sizes"),
    [
        (10, 4, [4, 3, 3]),
        (16, 5, [4, 4, 4, 4]),
        (32, 31, [16, 16]),
        (5, 2, [3, 2]),
        (3, 1, [1, 1, 1]),
        (1, 4, [1]),
    ],
)
def test_chunks_are_alike_and_none_is_a_single_sample(rows, chunk, sizes):
    whole = batch(rows)
    parts = list(whole.chunks(chunk))
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat([part.index for part in parts]), whole.index)


def test_every_parameter_is_reached_once():
    net = encoder()
    seen = []
    for name, parameter in net.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: seen.append(name))
    step(net, cached_encode(encode_with(net), net, batch(), 2))
    assert sorted(seen) == sorted(name for name, _ in net.named_parameters())


def test_autocast_is_replayed():
    plain, cached = encoder(), encoder()
    grads = []
    for net in (plain, cached):
        torch.manual_seed(2)
        with torch.autocast("cpu", torch.bfloat16):
            if net is plain:
                codes = plainly(encode_with(net), batch(), 10)
            else:
                codes = cached_encode(encode_with(net), net, batch(), 10)
        assert codes["z1"].dtype == torch.bfloat16
        grads.append(step(net, codes)[1])
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-6)


def test_unused_parameters_get_no_gradient():
    net = encoder()
    net.register_parameter("idle", nn.Parameter(torch.ones(3)))
    step(net, cached_encode(encode_with(net), net, batch(), 4))
    assert net.idle.grad is None


def test_keeps_nothing_of_the_encoder_but_its_parameters():
    net = nn.Linear(6, 4)
    codes = cached_encode(encode_with(net), net, batch(), 4)
    saved = codes["z1"].grad_fn.saved_tensors
    assert sorted(tuple(tensor.shape) for tensor in saved) == [(4,), (4, 6)]


def test_no_gradient_wanted():
    net = encoder()
    with torch.no_grad():
        codes = cached_encode(encode_with(net), net, batch(), 10)
    assert not codes["z1"].requires_grad


def test_a_chunk_below_one_is_refused():
    net = encoder()
    with pytest.raises(SettingError, match="at least 1"):
        cached_encode(encode_with(net), net, batch(), 0)
