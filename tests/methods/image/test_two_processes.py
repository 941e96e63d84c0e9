"""Methods whose loss has more than one part: two processes equal one with the same global batch."""

import pytest
import torch

from counterpoint import methods
from counterpoint.training import TrainSettings, train

pytestmark = pytest.mark.ranks


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("amcl", {"batch_norm": False}),
        ("scatsimclr", {"pretext_from": 0.0, "dropout": 0.0, "pretext_hidden": 16}),
    ],
    ids=["amcl", "scatsimclr"],
)
def test_two_processes_equal_one(name, arguments, encoder_of, data_of, tmp_path):
    settings = {"steps": 3, "batch_size": 16, "lr": 1e-2, "optimizer": "sgd", "accelerator": "cpu"}
    data = data_of("images")
    trained, losses = [], []
    for devices in (1, 2):
        encoder = encoder_of("images", batch_norm=False)
        torch.manual_seed(1)
        method = methods.build(name, encoder, **arguments)
        chosen = TrainSettings.of(devices=devices, **settings)
        losses.append(train(method, data, chosen, tmp_path / str(devices)).loss)
        trained.append(method)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    alone, together = trained
    for mine, theirs in zip(alone.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(theirs, mine, atol=1e-5, rtol=1e-4)
