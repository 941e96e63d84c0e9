import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.views.high_bands import haar_bands, quantise, sharpen, soften


def test_bands_keep_energy_and_drop_constants():
    x = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    bands = haar_bands(x)
    assert bands.shape == (2, 9, 3, 4)
    low = (x[..., ::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, ::2] + x[..., 1::2, 1::2]) / 2
    torch.testing.assert_close(bands.square().sum() + low.square().sum(), x.square().sum())
    assert haar_bands(torch.ones(1, 1, 4, 4)).abs().max() == 0
    block = torch.tensor([[[[4.0, 3.0], [2.0, 0.0]]]])
    assert haar_bands(block).flatten().tolist() == [2.5, 1.5, -0.5]


def test_odd_sides_are_reflected():
    x = torch.rand(1, 1, 5, 3)
    padded = torch.cat([x, x[:, :, 3:4]], 2)
    padded = torch.cat([padded, padded[..., 1:2]], 3)
    assert torch.equal(haar_bands(x), haar_bands(padded))
    with pytest.raises(DataError):
        haar_bands(x[0])


def test_sharpening():
    x = torch.rand(3, 2, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(sharpen(x, torch.ones(3)), x)
    out = sharpen(x, torch.tensor([0.5, 2.0, 3.0]))
    for frame in ((..., 0, slice(None)), (..., -1, slice(None)), (..., 0), (..., -1)):
        torch.testing.assert_close(out[frame], x[frame])
    patch = x[1, 0, 1:4, 2:5]
    smooth = (patch.sum() + 4 * patch[1, 1]) / 13
    wanted = (smooth + 2 * (patch[1, 1] - smooth)).clamp(0, 1)
    torch.testing.assert_close(out[1, 0, 2, 3], wanted)
    assert out.min() >= 0
    assert out.max() <= 1
    flat = torch.full((1, 1, 4, 4), 0.3)
    torch.testing.assert_close(sharpen(flat, torch.tensor([3.0])), flat)
    with pytest.raises(SettingError):
        sharpen(x, torch.tensor([-1.0, 1, 1]))
    with pytest.raises(DataError):
        sharpen(x, torch.ones(2))


def test_softening():
    x = torch.rand(2, 3, 9, 8, dtype=torch.float64)
    assert soften(x, (1.0, 2.0), (3, 5)).var() < x.var()
    torch.testing.assert_close(soften(x, (0.01, 0.01), (3, 3)), x)
    torch.testing.assert_close(soften(torch.ones_like(x), (1, 1), (5, 7)), torch.ones_like(x))
    along = soften(x, (1.5, 1.0), (3, 1))
    k = torch.tensor([0.0, 1.0]).mul(-0.5 / 1.5**2).exp().double()
    wanted = (k[0] * x[..., 4, :] + k[1] * (x[..., 3, :] + x[..., 5, :])) / (k[0] + 2 * k[1])
    torch.testing.assert_close(along[..., 4, :], wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(SettingError):
        soften(x, (1, 1), (4, 3))
    with pytest.raises(DataError):
        soften(x[..., :3, :3], (1, 1), (11, 3))


def test_quantising():
    assert quantise(torch.tensor([-1.0, 0.5, 2.0])).tolist() == pytest.approx([0, 128 / 255, 1])
