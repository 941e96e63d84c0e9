"""A located view says truly which part of its image it shows."""

import pytest
import torch

from counterpoint.errors import SettingError
from counterpoint.pairs.cells import cell_centres, matching_cells
from counterpoint.views.image import Augment
from counterpoint.views.located import BOX, Located

SIZE = 64
VIEW = Located(Augment(scale=(0.1, 0.6), ratio=(0.7, 1.4), mirror=0.5))


def ramps(count):
    """Images whose two first channels are the places of their pixels, 0 to 255."""
    line = torch.linspace(0, 255, SIZE).round().to(torch.uint8)
    across, down = line.expand(SIZE, SIZE), line[:, None].expand(SIZE, SIZE)
    return torch.stack([across, down, down]).expand(count, 3, SIZE, SIZE)


def places(images, cells):
    """Mean coordinates in each cell of a grid, ``(B, cells * cells, 2)``."""
    pooled = torch.nn.functional.adaptive_avg_pool2d(images[:, :2], cells)
    return pooled.flatten(2).mT


def test_boxes_of_crops_and_flips_lie_where_the_pixels_came_from():
    images, meta = VIEW.batch(ramps(64), torch.arange(64))
    boxes = meta[BOX]
    assert boxes.shape == (64, 4)
    mirrored = boxes[:, 0] > boxes[:, 2]
    assert 10 < int(mirrored.sum()) < 54
    centres, _ = cell_centres(boxes, 4, 4)
    torch.testing.assert_close(places(images, 4), centres, atol=0.02, rtol=0)


def test_every_pair_shows_nearly_the_same_place():
    one, first = VIEW.batch(ramps(64), torch.arange(64))
    two, second = VIEW.batch(ramps(64), torch.arange(64, 128))
    pairs = matching_cells(first[BOX], second[BOX], (4, 4))
    gaps = torch.cdist(places(one, 4), places(two, 4))
    _, wide = cell_centres(first[BOX], 4, 4)
    _, other = cell_centres(second[BOX], 4, 4)
    assert pairs.any()
    assert (gaps < 0.7 * torch.maximum(wide, other)[:, None, None] + 0.04)[pairs].all()


def test_a_single_image_has_the_view_of_a_batch_of_one():
    torch.manual_seed(0)
    image, meta = VIEW(ramps(1)[0])
    torch.manual_seed(0)
    seeds = torch.randint(-(2**63), 2**63 - 1, (1,))
    images, boxes = VIEW.batch(ramps(1), seeds)
    assert torch.equal(image, images[0])
    assert torch.equal(meta[BOX], boxes[BOX][0])


def test_a_rotated_crop_is_refused():
    with pytest.raises(SettingError, match="rotate"):
        Located(Augment(rotate=10.0))
