import pytest
import torch

from counterpoint.encoders.reweighting_head import FixedReweighting, IdentityHead, symmetric_relu
from counterpoint.errors import SettingError


def test_coordinates_fall_geometrically_and_nothing_is_trained():
    head = FixedReweighting(4, 2.0)
    assert head(torch.ones(1, 4)).tolist() == [[1, 0.5, 0.25, 0.125]]
    assert list(head.parameters()) == []
    assert torch.equal(head.state_dict()["weights"], head.weights)
    u = torch.randn(3, 4)
    assert torch.equal(FixedReweighting(4, 1.0)(u), u)
    assert torch.equal(FixedReweighting(1, 1.7)(u[:, :1]), u[:, :1])


@pytest.mark.parametrize(("kappa", "expected"), [(1.5, 1.8), (1.2, 3.3), (1.05, 10.8), (1.01, 51)])
def test_effective_dimension(kappa, expected):
    assert FixedReweighting(2048, kappa).effective_dimension() == pytest.approx(expected, rel=0.02)


def test_wide_heads_underflow_without_harm():
    u = torch.randn(2, 4096, requires_grad=True)
    FixedReweighting(4096, 1.2)(u).sum().backward()
    assert torch.isfinite(u.grad).all()
    assert u.grad[0, 0] == 1


def test_symmetric_relu_and_the_identity_head():
    x = torch.linspace(-2, 2, 9)
    assert torch.equal(symmetric_relu(x, 0.0), x)
    assert symmetric_relu(x, 0.5).tolist() == [-1.5, -1.0, -0.5, 0, 0, 0, 0.5, 1.0, 1.5]
    head, u = IdentityHead(5), torch.randn(3, 5)
    torch.testing.assert_close(head(u), u)
    head(u).square().sum().backward()
    assert head.first.weight.grad.abs().max() > 0


@pytest.mark.parametrize("kappa", [0.0, -1.0])
def test_bad_kappa_is_refused(kappa):
    with pytest.raises(SettingError, match="kappa"):
        FixedReweighting(4, kappa)
