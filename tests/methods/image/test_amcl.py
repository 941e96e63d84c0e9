"""Several heads, their temperatures, and what the method is without them."""

import pytest
import torch

from counterpoint import methods
from counterpoint.errors import SettingError
from counterpoint.objectives import functional as F
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import make_views


@pytest.fixture
def build(encoder_of):
    def make(**arguments):
        torch.manual_seed(3)
        return methods.build("amcl", encoder_of("images"), **arguments)

    return make


@pytest.fixture
def data(data_of):
    return data_of("images")


def batch_of(method, data, rows=12):
    return make_views(data.train, method.views(data), method.encoder, torch.arange(rows))


def test_one_head_of_fixed_temperature_is_dcl_or_nt_xent(build, data):
    for decoupled, objective in ((True, F.dcl), (False, F.nt_xent)):
        method = build(heads=1, adaptive=False, temperature=0.2, decoupled=decoupled).eval()
        parts, codes = method(batch_of(method, data)), method.encode(batch_of(method, data))
        assert set(parts) == {"loss"}
        expected = objective(codes["z1"], codes["z2"], temperature=0.2)
        torch.testing.assert_close(parts["loss"], expected)


def test_one_head_of_fixed_temperature_on_moco_is_moco(encoder_of, data, tmp_path):
    """Loss by loss, in training: the same networks, momentum copies and queues."""
    alike = {"temperature": 0.2, "queue": 100, "batch_norm": False}
    one = {"host": "moco", "heads": 1, "adaptive": False, "decoupled": False}
    losses = []
    for name, own in (("amcl", one), ("moco", {})):
        encoder = encoder_of("images")
        torch.manual_seed(1)
        method = methods.build(name, encoder, **alike, **own)
        chosen = TrainSettings.of(steps=8, batch_size=32, lr=1e-3)
        losses.append(train(method, data, chosen, tmp_path / name).loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][0] != pytest.approx(losses[0][-1], rel=1e-2)


def test_on_moco_keys_of_every_head_are_kept_as_they_are(build, data):
    method = build(host="moco", queue=20, outputs=16).train()
    for start in (0, 12):
        batch = make_views(data.train, method.views(data), method.encoder, torch.arange(12) + start)
        codes = method.encode(batch)
        parts = method.contrast(codes, batch)
    assert not codes["z2"].requires_grad
    assert len(method.queue) == 20
    newest = (torch.arange(12) + 12) % 20
    torch.testing.assert_close(method.queue.features[newest], codes["z2"])
    z1, z2 = (codes[name].view(12, 3, 16) for name in ("z1", "z2"))
    assert parts["temperature"] == pytest.approx(method.pair_temperature(z1, z2).mean().item())
    parts["loss"].backward()
    assert method.pair_temperature.first.weight.grad.abs().max() > 0
    assert all(head[0].weight.grad.abs().max() > 0 for head in method.heads)


def test_on_moco_an_image_s_old_keys_are_none_of_its_negatives(build, data):
    method = build(host="moco").train()
    for _ in range(2):
        before, batch = method.queue.features, batch_of(method, data)
        loss = method(batch)["loss"]
    own = method.queue.ids[:12]
    assert torch.equal(own, batch.index)
    codes = method.encode(batch)
    z1, z2 = (codes[name].view(12, 3, 128) for name in ("z1", "z2"))
    apart = [
        F.amcl(
            z1[i : i + 1],
            z2[i : i + 1],
            pair_temperature=method.pair_temperature,
            heads="mean",
            negatives=before[own != batch.index[i]].view(-1, 3, 128),
        )
        for i in range(12)
    ]
    torch.testing.assert_close(loss, torch.stack(apart).mean(), rtol=1e-4, atol=1e-5)


def test_heads_start_and_stay_different(build, data, tmp_path):
    method = build()
    assert len(method.heads) == 3
    train(method, data, TrainSettings.of(steps=3, batch_size=32), tmp_path)
    first, second, third = (head[0].weight for head in method.heads)
    assert not torch.allclose(first, second)
    assert not torch.allclose(second, third)


def test_sum_over_heads_is_three_times_their_mean(build, data):
    losses = []
    for over in ("mean", "sum"):
        method = build(over=over).eval()
        losses.append(method(batch_of(method, data))["loss"])
    torch.testing.assert_close(losses[1], 3 * losses[0])


@pytest.mark.parametrize(
    "arguments",
    [{}, {"form": "max"}, {"hardest": 4}, {"pairs": "concatenation", "hardest": 4}],
    ids=str,
)
def test_heads_and_temperatures_both_learn(build, data, arguments):
    method = build(**arguments).train()
    parts = method(batch_of(method, data))
    parts["loss"].backward()
    assert all(p.grad is not None for p in method.parameters())
    assert method.pair_temperature.first.weight.grad.abs().max() > 0
    assert all(head[0].weight.grad.abs().max() > 0 for head in method.heads)
    assert 0.05 < parts["temperature"] < 1
    assert parts["at_bound"] == 0


def test_temperatures_begin_near_the_middle_of_their_range(build, data):
    method = build(lowest=0.1, highest=0.5).eval()
    assert method(batch_of(method, data))["temperature"] == pytest.approx(0.3, abs=0.02)


def test_all_pairs_and_a_concatenation_are_refused_at_once(build):
    with pytest.raises(SettingError, match="set hardest, or form='max'"):
        build(pairs="concatenation")
    assert build(pairs="concatenation", form="max").pair_temperature.form == "concatenation"
    assert build(pairs="concatenation", adaptive=False).pair_temperature is None


def test_bounds_and_names_are_refused(build):
    with pytest.raises(SettingError, match="0 < lowest < highest"):
        build(lowest=0.5, highest=0.1)
    for wrong in ({"beta": -0.1}, {"heads": 0}, {"over": "max"}, {"pairs": "sum"}, {"hardest": 0}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            build(**wrong)


def test_a_batch_of_one_has_no_negatives_and_stays_finite(build, data):
    method = build().eval()
    loss = method(batch_of(method, data, 1))["loss"]
    loss.backward()
    assert loss.isfinite()


def test_heads_and_temperatures_are_left_off_afterwards(build, data):
    method = build().eval()
    images = batch_of(method, data).views[0]
    assert torch.equal(method.embed(images), method.encoder(images))
