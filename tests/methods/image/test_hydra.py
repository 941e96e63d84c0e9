"""HYDRA with classes beyond its gate, and with samples that have no label."""

from dataclasses import replace

import pytest
import torch

from counterpoint import methods
from counterpoint.errors import DataError, SettingError
from counterpoint.training.loader import make_views


@pytest.fixture
def data(data_of):
    return data_of("images")


def batch_of(method, data, rows=16):
    return make_views(data.train, method.views(data), method.encoder, torch.arange(rows))


def test_more_classes_than_the_gate_has_room_for(encoder_of, data):
    method = methods.build("hydra", encoder_of("images"), max_classes=9)
    with pytest.raises(SettingError, match="10 classes"):
        method.views(data)


def test_samples_without_label_take_no_part(encoder_of, data):
    method = methods.build("hydra", encoder_of("images")).eval()
    batch = batch_of(method, data)
    labels = batch.labels.clone()
    labels[8:] = -1
    half = method(next(batch.chunks(8)))["loss"]
    assert torch.allclose(method(replace(batch, labels=labels))["loss"], half)


def test_a_step_without_two_labels_changes_nothing_and_says_so(encoder_of, data):
    method = methods.build("hydra", encoder_of("images"), repulsion=0.5).train()
    batch = batch_of(method, data)
    labels = torch.full_like(batch.labels, -1)
    labels[3] = 0
    with pytest.warns(UserWarning, match="label more of the data"):
        loss = method(replace(batch, labels=labels))["loss"]
    loss.backward()
    assert loss == 0
    assert all(not parameter.grad.any() for parameter in method.parameters())


def test_labels_are_needed(encoder_of, data):
    method = methods.build("hydra", encoder_of("images"))
    with pytest.raises(DataError, match="label"):
        method(replace(batch_of(method, data), labels=None))


@pytest.mark.parametrize("pairing", ["arbitrary", "distinct", "identical"])
def test_a_batch_of_one_class_has_no_negatives_and_no_gradient(pairing, encoder_of, data):
    method = methods.build("hydra", encoder_of("images"), pairing=pairing).eval()
    method.views(data)
    batch = batch_of(method, data, 8)
    labels = torch.zeros_like(batch.labels)
    loss = method(replace(batch, labels=labels))["loss"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or not p.grad.any() for p in method.parameters())


def test_a_partner_class_absent_from_the_batch_counts_as_a_loss_of_zero(encoder_of, data):
    method = methods.build("hydra", encoder_of("images"), pairing="distinct").eval()
    method.views(data)
    batch = batch_of(method, data, 12)
    few = replace(batch, labels=torch.arange(12) % 3)
    losses = []
    for draw in range(6):
        method.draw = draw
        losses.append(float(method(few)["loss"].detach()))
    assert all(0 <= loss < 5 for loss in losses)
    assert len(set(losses)) > 1


def test_the_gate_is_of_the_anchor_and_statistics_are_fixed_in_evaluation(encoder_of, data):
    method = methods.build("hydra", encoder_of("images")).eval()
    one, two = torch.tensor([3, 1]), torch.tensor([5, 1])
    both = method.gate(one, two)
    torch.testing.assert_close(method.gate(two, one), both)
    torch.testing.assert_close(method.gate(one[:1], two[:1]), both[:1])
