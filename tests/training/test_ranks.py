import pytest
import torch

from counterpoint.training import TrainSettings, train

pytestmark = pytest.mark.ranks

SETTINGS = {"steps": 8, "batch_size": 32, "lr": 1e-2, "optimizer": "sgd", "accelerator": "cpu"}


def assert_same_training(together, two, alone, one):
    assert together.loss == pytest.approx(alone.loss, rel=1e-5)
    for mine, theirs in zip(two.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    assert together.steps == 8


def test_two_processes_equal_one_with_the_same_global_batch(simclr, digits, tmp_path):
    one, two = simclr(), simclr()
    alone = train(one, digits, TrainSettings.of(**SETTINGS), tmp_path / "one")
    together = train(two, digits, TrainSettings.of(devices=2, **SETTINGS), tmp_path / "two")
    assert_same_training(together, two, alone, one)


def test_groups_of_processes_contrast_their_own_part_of_the_batch(simclr, digits, tmp_path):
    one, two = simclr(), simclr()
    whole = one.contrast

    def of_halves(codes, batch):
        halves = zip(*(z.chunk(2) for z in codes.values()), strict=True)
        losses = [whole(dict(zip(codes, half, strict=True)), batch)["loss"] for half in halves]
        return {"loss": sum(losses) / 2}

    one.contrast = of_halves
    alone = train(one, digits, TrainSettings.of(**SETTINGS), tmp_path / "one")
    settings = TrainSettings.of(devices=2, groups_of=1, **SETTINGS)
    together = train(two, digits, settings, tmp_path / "two")
    assert_same_training(together, two, alone, one)
