"""PixPro keeps track of flips, is asymmetric, and knows where two crops do not meet."""

from dataclasses import replace

import pytest
import torch

from counterpoint import encoders, methods
from counterpoint.encoders.feature_map import feature_map
from counterpoint.errors import SettingError
from counterpoint.training.loader import make_views
from counterpoint.views.located import BOX

KINDS = pytest.mark.parametrize("objective", ["pixpro", "pixcontrast"])


@pytest.fixture
def data(data_of):
    return data_of("images")


def built(size=8, name="conv-dense", **arguments):
    torch.manual_seed(0)
    encoder = encoders.build(name, modality="images", channels=1, size=size)
    return methods.build("pixpro", encoder, outputs=32, **arguments)


def batch_of(method, data, rows=6):
    return make_views(data.train, method.views(data), method.encoder, torch.arange(rows))


def with_boxes(batch, first, second):
    boxes = [torch.tensor(box).expand(len(batch), 4) for box in (first, second)]
    return replace(batch, meta=[{BOX: box} for box in boxes])


@KINDS
def test_mirroring_a_view_with_its_box_leaves_the_loss(objective, data):
    method = built(objective=objective).eval()
    batch = batch_of(method, data)
    codes = method.encode(batch)
    flipped = {name: code.flip(3) if name[1] == "2" else code for name, code in codes.items()}
    mirror = [batch.meta[0], {BOX: batch.meta[1][BOX][:, [2, 1, 0, 3]]}]
    loss = method.contrast(codes, batch)["loss"]
    kept = method.contrast(flipped, replace(batch, meta=mirror))["loss"]
    torch.testing.assert_close(kept, loss)
    lost = method.contrast(flipped, batch)["loss"]
    assert abs(float(lost.detach() - loss.detach())) > 1e-4


@KINDS
def test_crops_that_do_not_meet_give_zero(objective, data):
    method = built(objective=objective)
    batch = with_boxes(batch_of(method, data), [0.0, 0.0, 0.2, 0.2], [0.7, 0.7, 1.0, 1.0])
    parts = method(batch)
    assert float(parts["loss"].detach()) == 0
    assert float(parts["matched"]) == 0
    parts["loss"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@KINDS
def test_a_single_image_has_a_loss_of_its_own(objective, data):
    method = built(objective=objective).eval()
    loss = method(batch_of(method, data, rows=1))["loss"].detach()
    both = method(batch_of(method, data, rows=2))["loss"].detach()
    assert loss.isfinite()
    assert loss != both


def test_only_queries_are_propagated_and_keys_take_no_gradient(data):
    method = built().eval()
    batch = batch_of(method, data)
    codes = method.encode(batch)
    plain = method.heads[0](feature_map(method.encoder, batch.views[0]))
    torch.testing.assert_close(codes["k1"], plain)
    assert not torch.allclose(codes["y1"], plain, atol=1e-3)
    assert not codes["k1"].requires_grad
    assert -4 <= float(method.contrast(codes, batch)["loss"]) <= 4


def test_instance_loss_is_added_with_its_weight(data):
    method = built(instance=0.5)
    parts = method(batch_of(method, data))
    assert -4 <= float(parts["instance"]) <= 4
    parts["loss"].backward()
    assert all(p.grad is not None for p in method.predictor.parameters())
    cells = built().eval()
    whole = built(instance=0.5).eval()
    batch = batch_of(whole, data)
    codes = whole.encode(batch)
    both = whole.contrast(codes, batch)
    alone = cells.contrast(codes, batch)
    torch.testing.assert_close(both["loss"], alone["loss"] + 0.5 * both["instance"])


def test_momentum_rises_along_a_cosine_and_moves_before_the_keys(data):
    method = built()
    assert method.moving.at(0.0) == pytest.approx(0.99)
    assert method.moving.at(1.0) == 1
    weight = method.heads[0][0].weight
    with torch.no_grad():
        weight.add_(1)
    before = method.moving.network.heads[0][0].weight.clone()
    method.before_step(0.0)
    torch.testing.assert_close(method.moving.network.heads[0][0].weight, before + 0.01)


def test_least_area_of_crops_is_the_users(data):
    areas = [
        float((boxes[:, 2] - boxes[:, 0]).mul(boxes[:, 3] - boxes[:, 1]).abs().min())
        for smallest in (0.1, 0.8)
        for boxes in [batch_of(built(smallest=smallest), data, 64).meta[0][BOX]]
    ]
    assert areas[0] < 0.3
    assert areas[1] > 0.7


def test_an_encoder_without_places_is_refused():
    with pytest.raises(SettingError, match="single cell"):
        built(size=4, name="conv-small")
    with pytest.raises(SettingError, match="no feature map"):
        built(name="mlp")
    with pytest.raises(SettingError, match="area"):
        built(smallest=0.0)


def test_embedding_is_the_mean_cell(data):
    method = built().eval()
    view = batch_of(method, data).views[0]
    torch.testing.assert_close(method.embed(view), feature_map(method.encoder, view).mean((2, 3)))
