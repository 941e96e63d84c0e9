import pytest
import torch

from counterpoint.errors import SettingError
from counterpoint.views.image import Augment
from counterpoint.views.masked import HIDDEN, Masked


def test_about_the_share_is_hidden_in_whole_blocks():
    images = torch.randint(256, (200, 1, 28, 28), dtype=torch.uint8)
    view = Masked(Augment(), 0.3)
    whole, meta = view.batch(images, torch.arange(200))
    hidden = meta[HIDDEN]
    assert hidden.shape == (200, 1, 28, 28)
    torch.testing.assert_close(whole, images.float() / 255, atol=1e-5, rtol=0)
    blocks = hidden.view(200, 14, 2, 14, 2)
    assert torch.equal(blocks.all(4).all(2), blocks.any(4).any(2))
    shares = hidden.float().mean((1, 2, 3))
    assert 0.28 < float(shares.mean()) < 0.32
    assert 0.19 < float(shares.min()) < 0.25
    assert 0.35 < float(shares.max()) < 0.41
    assert len(blocks[:, :, 0, :, 0].flatten(1).unique(dim=0)) == 200


def test_a_view_depends_on_its_own_seed():
    images = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    view = Masked(Augment(), 0.3)
    _, together = view.batch(images, torch.arange(4))
    _, alone = view.batch(images[2:3], torch.tensor([2]))
    assert torch.equal(together[HIDDEN][2:3], alone[HIDDEN])
    torch.manual_seed(0)
    image, meta = view(images[0])
    assert image.shape == (1, 8, 8)
    assert meta[HIDDEN].shape == (1, 8, 8)


def test_shares_out_of_range_are_refused():
    with pytest.raises(SettingError, match="share"):
        Masked(Augment(), 1.5)
