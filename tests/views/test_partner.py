"""A partner's view is of the partner, and says which slot it takes."""

import torch

from counterpoint import encoders
from counterpoint.data.dataset import Split
from counterpoint.data.items import ImageStack
from counterpoint.training.loader import make_views
from counterpoint.views import Plain
from counterpoint.views.partner import SLOT, PartnerView

PIXELS = torch.randint(0, 256, (400, 1, 8, 8), dtype=torch.uint8)
NAMES = [str(i) for i in range(400)]
ROWS = torch.arange(399, -1, -1)


def batch(partners, seed=0):
    split = Split(ImageStack(PIXELS), NAMES, partners=partners)
    encoder = encoders.build("mlp", modality="images", channels=1, size=8)
    return make_views(split, [Plain(), PartnerView(Plain())], encoder, ROWS, seed)


def test_second_view_is_of_the_partner():
    made = batch(ImageStack(255 - PIXELS))
    torch.testing.assert_close(made.views[1], 1 - made.views[0])


def test_without_partners_it_is_of_the_sample():
    first, second = batch(None).views
    assert torch.equal(first, second)


def test_slots_are_drawn_evenly_and_anew():
    slots = batch(None).meta[1][SLOT]
    assert set(slots.tolist()) == {0, 1}
    assert 150 < slots.sum() < 250
    assert not torch.equal(batch(None, seed=1).meta[1][SLOT], slots)
    view, meta = PartnerView(Plain())(PIXELS[0])
    assert view.shape == (1, 8, 8)
    assert int(meta[SLOT]) in (0, 1)
