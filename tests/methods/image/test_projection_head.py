"""Every head under every pre-training, and what the fixed head does to the representation."""

from dataclasses import replace

import pytest
import torch

from counterpoint import methods
from counterpoint.errors import DataError, SettingError
from counterpoint.methods.image.projection_head import Head, Pretraining
from counterpoint.objectives import functional as F
from counterpoint.probes import KNN
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import make_views


@pytest.fixture
def build(encoder_of):
    def make(**arguments):
        return methods.build("projection-head", encoder_of("images"), **arguments)

    return make


@pytest.fixture
def data(data_of):
    return data_of("images")


def batch_of(method, data, rows=16):
    return make_views(data.train, method.views(data), method.encoder, torch.arange(rows))


@pytest.mark.parametrize("head", Head.__args__)
@pytest.mark.parametrize("pretraining", Pretraining.__args__)
def test_every_head_learns_under_every_pretraining(build, data, head, pretraining):
    method = build(head=head, pretraining=pretraining).train()
    batch = batch_of(method, data)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.02)
    losses = []
    for _ in range(4):
        loss = method(batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in method.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_the_loss_sees_the_reweighted_representation_and_downstream_does_not(build, data):
    method = build(kappa=1.2).eval()
    batch = batch_of(method, data)
    u1, u2 = (method.embed(view) for view in batch.views)
    ladder = 1.2 ** -torch.arange(u1.shape[1], dtype=torch.float64)
    torch.testing.assert_close(method.project(batch.views[0]), u1 * ladder.float())
    expected = F.nt_xent(u1 * ladder.float(), u2 * ladder.float(), temperature=0.5)
    torch.testing.assert_close(method(batch)["loss"], expected)
    assert sum(p.numel() for p in method.head.parameters()) == 0
    assert method.embed(batch.views[0]).std(0)[-1] > 100 * method.project(batch.views[0]).std(0)[-1]


def test_kappa_of_one_is_no_head(build, data):
    plain, one = build(head="none").eval(), build(kappa=1.0).eval()
    batch = batch_of(plain, data)
    assert torch.equal(plain(batch)["loss"], one(batch)["loss"])


def test_far_coordinates_of_a_wide_head_underflow_without_harm(build, data):
    method = build(kappa=100.0)
    method(batch_of(method, data))["loss"].backward()
    gradients = [p.grad for p in method.parameters()]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("kappa", [0.0, -1.0])
def test_kappa_must_be_positive(build, kappa):
    with pytest.raises(SettingError, match="kappa"):
        build(kappa=kappa)


def test_labels_are_asked_for_before_training(build, data, tmp_path):
    bare = replace(data, train=replace(data.train, labels=None))
    for pretraining in ("supcon", "classes"):
        method = build(pretraining=pretraining)
        with pytest.raises(DataError, match=f"'{pretraining}' needs labels"):
            train(method, bare, TrainSettings.of(steps=1, batch_size=8), tmp_path)
    assert build().views(bare)


def test_more_classes_than_the_classifier_has_room_for(build, data):
    with pytest.raises(SettingError, match="10 classes"):
        build(pretraining="classes", max_classes=9).views(data)


def test_samples_without_label_do_not_teach_the_classifier(build, data):
    method = build(pretraining="classes").eval()
    batch = batch_of(method, data)
    labels = batch.labels.clone()
    labels[8:] = -1
    half = method(next(batch.chunks(8)))["loss"]
    torch.testing.assert_close(method(replace(batch, labels=labels))["loss"], half)
    none = method(replace(batch, labels=torch.full_like(labels, -1)))["loss"]
    none.backward()
    assert none == 0


def test_an_anchor_alone_in_its_class_has_its_other_view(build, data):
    method = build(pretraining="supcon").eval()
    batch = batch_of(method, data, 4)
    alone = method(replace(batch, labels=torch.arange(4)))["loss"]
    unlabelled = method(replace(batch, labels=torch.full((4,), -1)))["loss"]
    assert alone.isfinite()
    torch.testing.assert_close(alone, unlabelled)


def test_the_classifier_learns_the_classes(build, data, tmp_path):
    method = build(pretraining="classes", head="mlp")
    train(method, data, TrainSettings.of(steps=60, batch_size=32, lr=3e-3), tmp_path)
    embedded = [
        method.embed(split.gather(range(len(split))).float() / 255).detach()
        for split in (data.train, data.test)
    ]
    assert KNN().score(embedded[0], data.train.labels, embedded[1], data.test.labels) > 0.6
