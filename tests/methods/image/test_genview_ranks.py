"""Variants reach every process: one result on one process and on two."""

import pytest
import torch

from counterpoint import methods
from counterpoint.training import TrainSettings, train

pytestmark = pytest.mark.ranks


def test_two_processes_equal_one(generator, encoder_of, data_of, tmp_path):
    """Without weights, whose softmax is over the batch of a process."""
    settings = {"steps": 3, "batch_size": 32, "lr": 1e-2, "optimizer": "sgd", "accelerator": "cpu"}
    losses = []
    for devices in (1, 2):
        encoder = encoder_of("images", batch_norm=False)
        torch.manual_seed(1)
        method = methods.build(
            "genview", encoder, generator=generator, sampling=2, gamma=0.0, batch_norm=False
        )
        chosen = TrainSettings.of(devices=devices, **settings)
        losses.append(train(method, data_of("images"), chosen, tmp_path / str(devices)).loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
