"""The hard contrastive loss: all negatives first, at least one later, no gradient through a cut."""

import pytest
import torch

from counterpoint import methods
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import functional as F


@pytest.fixture
def build(encoder_of):
    return lambda **arguments: methods.build("temperature", encoder_of("images"), **arguments)


def loss(method, z1, z2, progress=1.0):
    method.before_step(progress)
    return method.contrast({"z1": z1, "z2": z2}, None)["loss"]


def views(rows=8):
    torch.manual_seed(0)
    return torch.randn(rows, 16, requires_grad=True), torch.randn(rows, 16, requires_grad=True)


def test_a_cold_start_has_all_negatives(build):
    method, (one, two) = build(mine_from=0.25), views()
    plain = (F.info_nce(one, two, temperature=0.3) + F.info_nce(two, one, temperature=0.3)) / 2
    assert torch.equal(loss(method, one, two, 0.24), plain)
    assert loss(method, one, two, 0.25) < plain


def test_mining_starts_after_a_quarter_unless_it_is_told_never(build):
    assert build().mine_from == 0.25
    method, (one, two) = build(mine_from=1.0), views()
    assert torch.equal(loss(method, one, two, 0.99), loss(method, one, two, 0.0))


def test_the_least_share_keeps_the_hardest_negative(build):
    (one, two), method = views(), build(alpha=1e-6)
    s = torch.nn.functional.normalize(one, dim=1) @ torch.nn.functional.normalize(two, dim=1).T

    def way(s):
        hardest = s.masked_fill(torch.eye(8, dtype=torch.bool), -1).amax(1)
        return torch.nn.functional.softplus((hardest - s.diagonal()) / 0.3).mean()

    torch.testing.assert_close(loss(method, one, two), (way(s) + way(s.T)) / 2)


def test_a_single_sample_costs_nothing_and_moves_nothing(build):
    one, two = views(1)
    found = loss(build(mine_from=1.0), one, two, 0.0)
    found.backward()
    torch.testing.assert_close(found, torch.zeros(()), atol=1e-6, rtol=0)
    torch.testing.assert_close(one.grad, torch.zeros_like(one), atol=1e-6, rtol=0)


def test_equal_embeddings_are_finite_and_nan_is_refused(build):
    ones = torch.ones(6, 16, requires_grad=True)
    found = loss(build(), ones, ones)
    found.backward()
    assert found.isfinite()
    assert ones.grad.isfinite().all()
    with pytest.raises(DataError, match="NaN"):
        loss(build(), ones * float("nan"), ones)


def test_no_share_at_all_is_refused(build):
    with pytest.raises(SettingError, match="alpha"):
        build(alpha=0.0)
