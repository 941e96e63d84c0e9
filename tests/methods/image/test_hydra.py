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


def test_no_label_at_all_is_refused(encoder_of, data):
    method = methods.build("hydra", encoder_of("images")).eval()
    batch = batch_of(method, data)
    with pytest.raises(DataError, match="label"):
        method(replace(batch, labels=torch.full_like(batch.labels, -1)))
