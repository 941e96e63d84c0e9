import pytest
import torch
from scipy.ndimage import gaussian_filter

from counterpoint.views.blur import blur


def test_agrees_with_scipy():
    images = torch.rand(3, 2, 20, 24)
    sigma = torch.tensor([0.4, 1.0, 1.7])
    found = blur(images, sigma, 2.0)
    for image, width, blurred in zip(images, sigma.tolist(), found, strict=True):
        expected = gaussian_filter(
            image.numpy(), (0, width, width), mode="mirror", radius=(0, 4, 4)
        )
        assert torch.allclose(blurred, torch.from_numpy(expected), atol=1e-5)


def test_flat_stays_flat():
    images = torch.full((2, 1, 8, 8), 0.3)
    assert torch.allclose(blur(images, torch.tensor([0.1, 2.0]), 2.0), images)


@pytest.mark.parametrize("size", [2, 3])
def test_images_smaller_than_the_kernel(size):
    images = torch.rand(2, 1, size, size)
    found = blur(images, torch.tensor([1.0, 3.0]), 3.0)
    assert found.shape == images.shape
    assert torch.isfinite(found).all()
