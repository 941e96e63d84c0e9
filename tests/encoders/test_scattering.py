import pytest
import torch
from torch.nn.functional import grid_sample, interpolate

from counterpoint.data import load
from counterpoint.encoders.scattering import Scattering, scattering_channels
from counterpoint.errors import DataError, SettingError


@pytest.mark.parametrize(("scales", "angles"), [(1, 4), (2, 4), (3, 3)])
def test_shapes_and_channels(scales, angles):
    x = torch.rand(2, 3, 16, 16, requires_grad=True)
    found = Scattering(16, 16, scales, angles)(x)
    side = 16 // 2**scales
    assert found.shape == (2, scattering_channels(scales, angles, 3), side, side)
    found.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().max() > 0
    assert scattering_channels(2, 16, 3) == 867


def test_constant_images_have_no_wavelets():
    found = Scattering(16, 16, 2, 4).double()(torch.ones(1, 1, 16, 16, dtype=torch.float64))[0]
    assert found[1:].abs().max() < 1e-4
    torch.testing.assert_close(found[0], torch.ones(4, 4).double(), rtol=1e-3, atol=0)


def test_channels_are_scattered_one_by_one():
    x, scatter = torch.rand(1, 2, 16, 16), Scattering(16, 16, 2, 4)
    one = torch.cat([scatter(x[:, :1]), scatter(x[:, 1:])], 1)
    torch.testing.assert_close(scatter(x), one)


def test_more_stable_to_warps_than_pixels():
    digits = load("digits").test
    x = interpolate(digits.gather(range(30)).float(), 32, mode="bilinear")
    torch.manual_seed(0)
    field = interpolate(torch.randn(1, 2, 4, 4), 32, mode="bicubic")[0].permute(1, 2, 0)
    axis = torch.linspace(-1, 1, 32)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2)
    scatter = Scattering(32, 32, 2, 8)
    for size in (0.5, 1.0, 2.0):
        moved = grid + field / field.abs().max() * size * 2 / 32
        warped = grid_sample(x, moved.expand(len(x), -1, -1, -1), align_corners=True)
        change = (scatter(warped) - scatter(x)).norm() / scatter(x).norm()
        assert change < (warped - x).norm() / x.norm()


def test_sizes_that_do_not_fit_are_refused():
    for size in (18, 4):
        with pytest.raises(SettingError, match="multiples of 4"):
            Scattering(size, size, 2)
    with pytest.raises(DataError, match="16, 16"):
        Scattering(16, 16, 2, 2)(torch.rand(1, 1, 8, 8))
