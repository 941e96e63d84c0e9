"""GroCo: the end of its head, small batches, ties, and the size of its gradient."""

import pytest
import torch
from torch import nn

from counterpoint import methods
from counterpoint.errors import DataError, SettingError


@pytest.fixture
def build(encoder_of):
    return lambda **arguments: methods.build("groco", encoder_of("images"), **arguments)


def parts(method, *views):
    return method.contrast({f"z{i}": z for i, z in enumerate(views, 1)}, None)


def test_the_head_ends_in_batch_normalisation(build):
    assert isinstance(build().head[-1], nn.BatchNorm1d)


def test_more_negatives_than_the_batch_has_are_all_of_them(build):
    views = [torch.randn(4, 8) for _ in range(2)]
    few, many = (parts(build(hardest=hardest), *views) for hardest in (3, 10))
    assert torch.equal(few["loss"], many["loss"])
    assert few["loss"].isfinite()


def test_ties_and_steep_comparisons_are_finite(build):
    for steepness in (1.0, 1e4):
        z = torch.ones(5, 8, requires_grad=True)
        found = parts(build(steepness=steepness), z, z)
        found["loss"].backward()
        assert found["loss"].isfinite()
        assert found["gap"].isfinite()
        assert z.grad.isfinite().all()


def test_gain_multiplies_a_small_gradient(build):
    views = [torch.randn(6, 8) for _ in range(2)]
    plain, gained = (parts(build(gain=gain), *views)["loss"] for gain in (1.0, 32.0))
    torch.testing.assert_close(gained, 32 * plain)


def test_no_positive_and_no_negative_are_refused(build):
    with pytest.raises(SettingError, match="positives"):
        build(positives=0)
    with pytest.raises(DataError, match="at least 2"):
        parts(build(), torch.randn(1, 8), torch.randn(1, 8))
