"""GenView: which images get which variant, where it goes in a pair, and what a pair weighs."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint import methods
from counterpoint.errors import SettingError
from counterpoint.methods.image.genview import in_slots
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives import functional as F
from counterpoint.training.loader import make_views
from counterpoint.views.partner import SLOT


@pytest.fixture
def build(encoder_of, generator):
    def make(**arguments):
        encoder = encoder_of("images", batch_norm=False)
        torch.manual_seed(1)
        values = {"generator": generator, "sampling": 4, "batch_norm": False, **arguments}
        return methods.build("genview", encoder, **values)

    return make


@pytest.fixture
def data(data_of):
    return data_of("images")


def batch_of(method, data, rows=24):
    return make_views(data.train, method.views(data), method.encoder, torch.arange(rows))


def test_variants_are_made_once_and_depend_on_the_generator_and_the_images(build, data):
    made = build().prepare(data).train
    again = build().prepare(data).train
    pixels = made.gather(torch.arange(len(made)))
    variants = made.partners.gather(torch.arange(len(made)))
    assert torch.equal(again.partners.gather(torch.arange(len(made))), variants)
    assert variants.shape == pixels.shape
    assert torch.equal(made.labels, data.train.labels)
    levels = build()._levels(data.train, None)
    same = (variants == pixels).flatten(1).all(1)
    assert same[levels == 0].all()
    assert not same[levels > 0].all()


def test_levels_rise_with_the_foreground_and_a_constant_level_overrides(build, data):
    few = build(foreground=0.2)._levels(data.train, None)
    many = build(foreground=0.6)._levels(data.train, None)
    assert set(few.tolist()) <= {0, 100, 200, 300, 400}
    assert (few <= many).all()
    assert few.sum() < many.sum()
    assert set(build(constant=150)._levels(data.train, None).tolist()) == {150}


def test_flip_turns_the_direction_and_the_centre_fixes_its_sign(build, data):
    method, flipped = build(), build(flip=True)
    for each in (method, flipped):
        each.views(data)
    assert torch.equal(method.direction, -flipped.direction)
    tokens = method._tokens(data.train, None) @ method.direction
    grid = tokens.view(-1, 4, 4)
    assert grid[:, 1:3, 1:3].mean() > tokens.mean()


def test_gamma_zero_is_the_base_loss_to_the_last_digit(build, data):
    method = build(gamma=0.0)
    batch = batch_of(method, data)
    codes = method.encode(batch)
    assert torch.equal(method.weights(batch), torch.ones(24))
    z1, z2 = codes["z1"], codes["z2"]
    both = [F.info_nce(a, b, temperature=0.2, reduction="none") for a, b in ((z1, z2), (z2, z1))]
    assert torch.equal(method.contrast(codes, batch)["loss"], sum(both).mean() / 2)
    simclr = SimCLR.contrast(method, codes, batch)["loss"]
    torch.testing.assert_close(method.contrast(codes, batch)["loss"], simclr)


def test_gamma_zero_on_moco_is_moco_on_the_same_pairs(build, encoder_of, data):
    """Loss by loss, while the queue fills and turns."""
    method = build(host="moco", gamma=0.0, queue=40)
    encoder = encoder_of("images", batch_norm=False)
    torch.manual_seed(1)
    moco = methods.build("moco", encoder, queue=40)
    for start in (0, 24, 48):
        rows = torch.arange(start, start + 24)
        batch = make_views(data.train, method.views(data), method.encoder, rows)
        slot = batch.meta[1][SLOT]
        pairs = replace(batch, views=list(in_slots(*batch.views, slot)))
        for each in (method, moco):
            each.before_step(0.0)
        torch.testing.assert_close(method(batch)["loss"], moco(pairs)["loss"])
    assert len(method.queue) == 40
    assert torch.equal(method.queue.ids, moco.queue.ids)


def test_on_moco_weights_multiply_the_losses_of_queries(build, data):
    method = build(host="moco", gamma=3.0)
    for start in (0, 24):
        rows = torch.arange(start, start + 24)
        batch = make_views(data.train, method.views(data), method.encoder, rows)
        bank = method.queue.features
        loss = method(batch)["loss"]
    codes, weights = method.encode(batch), method.weights(batch)
    s = normalize(codes["z1"]) @ normalize(torch.cat([codes["z2"], bank])).T / 0.2
    own = s[:, :24].diag()[:, None]
    losses = torch.cat([own, s[:, 24:]], 1).logsumexp(1) - own[:, 0]
    assert weights.std() > 0
    torch.testing.assert_close(loss, (weights * losses).mean())


def test_weights_have_mean_one_no_gradient_and_no_order_of_views(build, data):
    method = build(gamma=3.0)
    batch = batch_of(method, data)
    weights = method.weights(batch)
    assert not weights.requires_grad
    assert weights.std() > 0
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    swapped = make_views(data.train, method.views(data), method.encoder, torch.arange(24))
    swapped.views.reverse()
    torch.testing.assert_close(method.weights(swapped), weights)
    torch.testing.assert_close(method.weights(batch_of(method, data, 1)), torch.ones(1))


def test_weights_run_the_generator_no_further_than_its_features(build, data):
    method = build()
    batch = batch_of(method, data)
    way_back = method.generator.unet.up_blocks[0]
    handle = way_back.register_forward_hook(lambda *seen: pytest.fail("went on"))
    method.weights(batch)
    handle.remove()
    method.prepare(data)


def test_constant_images_give_finite_weights_and_loss(build, data):
    method = build()
    batch = batch_of(method, data)
    for view in batch.views:
        view.fill_(0.5)
    assert method.weights(batch).isfinite().all()


def test_generated_image_equal_to_its_source_gives_pairs_of_simclr(build, data):
    """All levels 0: the partner is the image, and data without variants train alike."""
    method = build()
    levels = torch.zeros(len(data.train), dtype=torch.int64)
    method._levels = lambda train, on_progress: levels
    method.direction = torch.ones(32)
    prepared = method.prepare(data)
    rows = torch.arange(24)
    with_variants = make_views(prepared.train, method.views(prepared), method.encoder, rows)
    without = make_views(data.train, method.views(data), method.encoder, rows)
    for one, other in zip(with_variants.views, without.views, strict=True):
        assert torch.equal(one, other)


def test_the_slot_decides_which_side_the_variant_takes(build, data):
    method = build().eval()
    batch = batch_of(method, data)
    codes, plain = method.encode(batch), SimCLR.encode(method, batch)
    slot = batch.meta[1][SLOT].bool()
    assert 0 < slot.sum() < 24
    assert torch.equal(codes["z2"][slot], plain["z2"][slot])
    assert torch.equal(codes["z1"][~slot], plain["z2"][~slot])


def test_without_a_generator_it_says_how_to_train_one(build, data):
    method = build(generator=None)
    with pytest.raises(SettingError, match="counterpoint fit diffusion"):
        method.prepare(data)
    with pytest.raises(SettingError, match="no diffusion pipeline in nowhere"):
        build(generator="nowhere")
    with pytest.raises(SettingError, match="strictly between"):
        build(foreground=0.0)
