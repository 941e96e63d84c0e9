import math

import pytest
import torch

from counterpoint.views.randomness import uniform
from counterpoint.views.warp import paper, warp, warp_matrices

STILL = {
    "scale": (1.0, 1.0),
    "ratio": (1.0, 1.0),
    "shift": 0.0,
    "mirror": 0.0,
    "rotate": 0.0,
    "shear": 0.0,
}
UNIT = uniform(torch.arange(500), 0, 7)


def corners(matrices):
    square = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]])
    return (matrices @ square.T).transpose(1, 2)


def test_nothing_to_do_leaves_the_image():
    images = torch.rand(4, 3, 9, 9)
    for background in (False, True):
        moved = warp(images, warp_matrices(UNIT[:4], **STILL), background)
        assert torch.allclose(moved, images, atol=1e-5)


def test_mirror():
    images = torch.rand(4, 1, 8, 8)
    moved = warp(images, warp_matrices(UNIT[:4], **{**STILL, "mirror": 1.0}))
    assert torch.allclose(moved, images.flip(-1), atol=1e-5)


def test_a_quarter_turn():
    image = torch.rand(1, 1, 8, 8)
    unit = torch.full((1, 7), 0.5)
    unit[0, 5] = 1.0
    moved = warp(image, warp_matrices(unit, **{**STILL, "rotate": 90.0}))
    assert torch.allclose(moved, image.rot90(1, (-2, -1)), atol=1e-5)


def test_crops_stay_inside_and_have_the_area():
    matrices = warp_matrices(UNIT, **{**STILL, "scale": (0.2, 1.0), "ratio": (0.75, 4 / 3)})
    found = corners(matrices)
    assert found.abs().max() <= 1 + 1e-5
    size = (found[:, 3] - found[:, 0]) / 2
    area, ratio = size.prod(1), size[:, 0] / size[:, 1]
    assert area.min() >= 0.15
    assert area.max() <= 1
    assert (area < 0.3).any()
    assert ratio.min() >= 0.75 - 1e-5
    assert ratio.max() <= 4 / 3 + 1e-5


def test_a_larger_crop_holds_the_whole_image():
    found = corners(warp_matrices(UNIT, **{**STILL, "scale": (1.2, 2.0)}))
    assert (found[:, 0] <= -1 + 1e-5).all()
    assert (found[:, 3] >= 1 - 1e-5).all()


def test_shift_in_image_widths():
    found = warp_matrices(UNIT, **{**STILL, "shift": 0.25})[:, :, 2]
    assert 0.45 < found.abs().max() <= 0.5


def test_mirrored_as_often_as_asked():
    width = warp_matrices(UNIT, **{**STILL, "mirror": 0.3})[:, 0, 0]
    assert abs(float((width < 0).float().mean()) - 0.3) < 0.07


def test_shear_and_rotation_within_bounds():
    matrices = warp_matrices(UNIT, **{**STILL, "rotate": 10.0, "shear": 0.3})
    angle = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert math.radians(9) < angle.abs().max() <= math.radians(10) + 1e-6
    turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    slope = (turn @ matrices[:, :, :2])[:, 0, 1]
    assert 0.27 < slope.abs().max() <= 0.3 + 1e-5


@pytest.mark.parametrize("ground", [0.0, 0.4, 1.0])
def test_outside_a_character_lies_its_paper(ground):
    images = torch.full((1, 1, 16, 16), ground)
    images[..., 4:12, 4:12] = 1 - ground
    images[..., 0, 0] = 0.7
    assert paper(images).item() == pytest.approx(ground)
    matrices = torch.tensor([[[1.0, 0, 3], [0, 1, 0]]])
    assert torch.allclose(warp(images, matrices, True), torch.full_like(images, ground))


def test_outside_a_photograph_its_border_goes_on():
    images = torch.zeros(1, 1, 8, 8)
    images[..., -1] = 1
    moved = warp(images, torch.tensor([[[1.0, 0, 3], [0, 1, 0]]]))
    assert torch.allclose(moved, torch.ones_like(moved))
