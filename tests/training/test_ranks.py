import pytest
import torch

from counterpoint.training import TrainSettings, train

pytestmark = pytest.mark.ranks


def test_two_processes_equal_one_with_the_same_global_batch(simclr, digits, tmp_path):
    settings = {"steps": 8, "batch_size": 32, "lr": 1e-2, "optimizer": "sgd", "accelerator": "cpu"}
    one, two = simclr(), simclr()
    alone = train(one, digits, TrainSettings.of(**settings), tmp_path / "one")
    together = train(two, digits, TrainSettings.of(devices=2, **settings), tmp_path / "two")
    assert together.loss == pytest.approx(alone.loss, rel=1e-5)
    for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    assert together.steps == 8
