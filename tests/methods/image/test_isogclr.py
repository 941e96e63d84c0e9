"""The state of iSogCLR follows the training set, and a saved one brings its size along."""

import torch

from counterpoint import methods
from counterpoint.training import TrainSettings, train


def build(encoder_of):
    return methods.build("isogclr", encoder_of("images"))


def test_every_training_sample_has_a_state_that_moves_when_it_is_seen(
    encoder_of, data_of, tmp_path
):
    data, method = data_of("images"), build(encoder_of)
    settings = TrainSettings.of(steps=2, batch_size=32)
    train(method, data, settings, tmp_path)
    state = method.global_loss.state
    assert state.samples == len(data.train)
    assert int((state.estimate > 0).sum()) == 64
    assert int((state.temperature != method.temperature).sum()) == 64


def test_a_saved_state_is_loaded_before_the_data_are_known(encoder_of, data_of, tmp_path):
    data, method = data_of("images"), build(encoder_of)
    train(method, data, TrainSettings.of(steps=1, batch_size=32), tmp_path)
    again = build(encoder_of)
    again.load_state_dict(method.state_dict())
    again.views(data)
    assert torch.equal(again.global_loss.state.estimate, method.global_loss.state.estimate)
