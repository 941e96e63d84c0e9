"""MLCD's clusters: fixed or renewed, several of them, dead ones, and which take part in a step."""

from dataclasses import replace

import pytest
import torch

from counterpoint import methods
from counterpoint.data.dataset import Split
from counterpoint.data.items import ImageStack
from counterpoint.errors import DataError, SettingError
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import make_views


@pytest.fixture
def data(data_of):
    return data_of("images")


@pytest.fixture
def build(encoder_of):
    def make(**arguments):
        encoder = encoder_of("images")
        torch.manual_seed(1)
        return methods.build("mlcd", encoder, **{"clusters": 20, "positives": 3, **arguments})

    return make


def batch_of(method, data, rows=8):
    return make_views(data.train, method.views(data), method.encoder, torch.arange(rows))


def trained(method, data, folder, steps=11):
    """More than two epochs of 5 steps."""
    train(method, data, TrainSettings.of(steps=steps, batch_size=32), folder)
    return method


def test_classes_are_fixed_unless_they_are_refreshed(build, data, tmp_path):
    fixed = build()
    fixed.begin_epoch(0, data)
    before = fixed.labels.clone()
    assert torch.equal(trained(fixed, data, tmp_path / "a").labels, before)
    renewed = trained(build(refresh=1), data, tmp_path / "b").labels
    assert renewed.shape == before.shape
    kept = (renewed[:, :, None] == before[:, None, :]).any(2).float().mean()
    assert 0.3 < float(kept) < 1


def test_features_of_the_encoder_are_those_at_the_start(build, data):
    method = build(features="encoder")
    method.train()
    buffers = [buffer.clone() for buffer in method.encoder.buffers()]
    method.begin_epoch(0, data)
    assert method.encoder.training
    assert all(map(torch.equal, buffers, method.encoder.buffers()))
    other = build()
    other.begin_epoch(0, data)
    assert not torch.equal(method.labels, other.labels)


def test_every_clustering_has_classes_of_its_own(build, data):
    method = build(clusterings=2)
    method.begin_epoch(0, data)
    assert method.classes.shape[0] == 40
    assert method.labels.shape == (len(data.train), 6)
    assert int(method.labels[:, :3].max()) < 20 <= int(method.labels[:, 3:].min())
    single = build()
    single.begin_epoch(0, data)
    assert torch.equal(method.labels[:, :3], single.labels)
    assert not torch.equal(method.labels[:, 3:] - 20, single.labels)


def test_the_batchs_classes_and_drawn_others_take_part(build, data):
    method = build(clusters=60, positives=1, rate=0.5)
    method.begin_epoch(0, data)
    moved = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        method.before_step(0.0)
        method.zero_grad()
        method(batch_of(method, data))["loss"].backward()
        moved.append((method.classes.grad != 0).any(1))
    own = method.labels[:8].flatten()
    assert all(int(part.sum()) == 30 and bool(part[own].all()) for part in moved)
    assert torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[0], moved[2])


def test_a_batch_with_more_classes_than_the_share_keeps_them_all(build, data):
    method = build(rate=0.05)
    method.begin_epoch(0, data)
    loss = method(batch_of(method, data, 64))["loss"]
    loss.backward()
    moved = (method.classes.grad != 0).any(1)
    assert torch.equal(moved.nonzero().flatten(), method.labels[:64].unique())


def test_the_loss_of_a_batch_is_the_mean_of_its_images(build, data):
    method = build(rate=1.0).eval()
    method.begin_epoch(0, data)
    batch = batch_of(method, data, 2)
    alone = [method(part)["loss"].detach() for part in batch.chunks(1)]
    torch.testing.assert_close(method(batch)["loss"].detach(), torch.stack(alone).mean())


def test_clusters_that_die_are_negatives_alone(build, data, tmp_path):
    pixels = data.train.gather(range(5)).repeat(20, 1, 1, 1)
    few = replace(data, train=Split(ImageStack(pixels), [str(i) for i in range(100)]))
    method = trained(build(positives=1), few, tmp_path, steps=3)
    assert len(method.labels.unique()) == 5
    assert method.classes.isfinite().all()


def test_a_saved_state_is_loaded_before_the_data_are_known(build, data):
    method, again = build(), build()
    method.begin_epoch(0, data)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.labels, method.labels)


def test_the_base_loss_has_no_boundary(build, data):
    ours, base = build(), build(objective="multi_label")
    ours.begin_epoch(0, data)
    base.begin_epoch(0, data)
    losses = [float(method(batch_of(method, data))["loss"].detach()) for method in (ours, base)]
    assert losses[0] != losses[1]


def test_what_cannot_be_is_refused(build, data):
    with pytest.raises(SettingError, match="positives must be below clusters"):
        build(positives=20)
    with pytest.raises(SettingError, match="rate"):
        build(rate=0.0)
    method = build(clusters=10_000)
    with pytest.raises(DataError, match="set fewer"):
        method.begin_epoch(0, data)
    with pytest.raises(DataError, match="no clusters yet"):
        method(batch_of(method, data))
