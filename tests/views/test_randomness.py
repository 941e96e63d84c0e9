import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.views.randomness import between, fresh_seeds, normal, sample_seeds, uniform

MASK = (1 << 64) - 1


def splitmix(x: int) -> int:
    """The finaliser as published, on unsigned numbers of 64 bits."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 9))
def test_numbers_are_those_of_the_published_generator(seed, stream):
    state = (splitmix(seed & MASK) + stream) & MASK
    state = splitmix(state)
    expected = [
        (splitmix((state + k * 0x9E3779B97F4A7C15) & MASK) >> 40) / 2**24 for k in range(1, 4)
    ]
    assert uniform(torch.tensor([seed]), stream, 3)[0].tolist() == expected


def test_a_samples_numbers_do_not_depend_on_the_batch():
    seeds = torch.arange(50)
    together = uniform(seeds, 0, 7)
    alone = torch.cat([uniform(seeds[i : i + 1], 0, 7) for i in range(50)])
    assert torch.equal(together, alone)


def test_uniform_is_uniform_and_streams_are_unrelated():
    one, two = (uniform(torch.arange(200_000), stream, 1)[:, 0] for stream in (0, 1))
    assert one.min() >= 0
    assert one.max() < 1
    counts = torch.histc(one, 100, 0, 1)
    assert (counts - 2000).abs().max() < 250
    assert abs(float(torch.corrcoef(torch.stack([one, two]))[0, 1])) < 0.01


def test_normal_has_its_moments():
    x = normal(torch.arange(100), 0, 2000)
    assert torch.isfinite(x).all()
    assert abs(float(x.mean())) < 0.01
    assert abs(float(x.std()) - 1) < 0.01
    assert abs(float((x**4).mean()) - 3) < 0.1


def test_sample_seeds_differ_in_every_argument():
    index = torch.arange(1000)
    kinds = [
        sample_seeds(seed, epoch, index, view)
        for seed in (-1, 0, 1)
        for epoch in (0, 1)
        for view in (0, 1)
    ]
    assert len(torch.cat(kinds).unique()) == 12 * 1000
    assert torch.equal(sample_seeds(3, 4, index, 1), sample_seeds(3, 4, index, 1))
    assert torch.equal(sample_seeds(3, 4, index, 1)[7:8], sample_seeds(3, 4, index[7:8], 1))


def test_fresh_seeds_come_from_the_global_generator():
    torch.manual_seed(5)
    first = fresh_seeds(4)
    assert not torch.equal(first, fresh_seeds(4))
    torch.manual_seed(5)
    assert torch.equal(first, fresh_seeds(4))


@pytest.mark.parametrize(("low", "high"), [(-2.0, 3.0), (1.0, 1.0)])
def test_between(low, high):
    assert between(torch.tensor([0.0, 0.5]), low, high).tolist() == [low, (low + high) / 2]
