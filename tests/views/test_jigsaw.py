import pytest
import torch

from counterpoint.errors import SettingError
from counterpoint.views.jigsaw import jigsaw, jigsaw_permutations, tile_boxes


def test_tiles_of_multiples_of_three_cover_the_image_and_of_32_stop_at_31():
    boxes = tile_boxes(96)
    assert boxes[0] == (0, 0, 32, 32)
    assert boxes[5] == (64, 32, 96, 64)
    assert tile_boxes(32)[-1] == (22, 22, 31, 31)
    with pytest.raises(SettingError, match="tiles"):
        tile_boxes(2)


def test_jigsaw_orders_the_tiles():
    image = torch.arange(9.0).view(1, 3, 3).repeat_interleave(4, 1).repeat_interleave(4, 2)
    order = torch.tensor([8, 0, 1, 2, 3, 4, 5, 6, 7])
    tiles = jigsaw(torch.stack([image, image + 9]), torch.stack([order, order.flip(0)]))
    assert tiles.shape == (2, 9, 1, 12, 12)
    assert tiles[0, :, 0, 5, 5].round().tolist() == order.tolist()
    assert tiles[1, :, 0, 5, 5].round().tolist() == (order.flip(0) + 9).tolist()


def test_permutations_are_far_apart_and_without_the_identity():
    found = jigsaw_permutations()
    assert found.shape == (35, 9)
    apart = (found[:, None] != found).sum(2) + 9 * torch.eye(35, dtype=torch.long)
    assert apart.min() >= 3
    assert ((found != torch.arange(9)).sum(1) >= 3).all()
    assert torch.equal(found.sort(1).values, torch.arange(9).expand(35, -1))
    assert torch.equal(found, jigsaw_permutations())
    with pytest.raises(SettingError, match="count"):
        jigsaw_permutations(0)
