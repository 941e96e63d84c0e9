import csv
import errno
import json
import os
import signal
import warnings
from dataclasses import replace

import pytest
import torch

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.errors import DataError, SettingError
from counterpoint.training import Interrupted, TrainSettings, train
from counterpoint.training import checkpoint as checkpoints
from counterpoint.training.checkpoint import load_checkpoint, save_checkpoint
from counterpoint.training.history import load_history


def quick(**changes):
    return TrainSettings.of(**{"steps": 6, "batch_size": 32, "log_every": 2, **changes})


def test_leaves_metrics_history_and_a_checkpoint(simclr, digits, tmp_path):
    seen = []
    history = train(simclr(), digits, quick(steps=7), tmp_path, on_progress=seen.append)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(7))
    assert [float(row["loss"]) for row in rows] == history.loss
    assert (history.steps, history.epochs) == (7, 7 / 5)
    assert history.samples_per_second == pytest.approx(7 * 32 / history.seconds)
    assert 50 < history.peak_mb < 1e5
    assert json.loads((tmp_path / "history.json").read_text())["steps"] == 7
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["step"] == 7
    assert [event.done for event in seen] == [0, 2, 4, 6, 7]
    assert {(event.stage, event.total) for event in seen} == {("train simclr", 7)}
    assert seen[-1].note == f"loss {history.loss[-1]:.3f}"


def test_same_seed_same_run_other_seed_other_run(simclr, digits, tmp_path):
    runs = [
        train(simclr(), digits, quick(seed=seed), tmp_path / str(number)).loss
        for number, seed in enumerate((1, 1, 2))
    ]
    assert runs[0] == runs[1] != runs[2]


def test_cached_run_equals_a_plain_one(simclr, digits, tmp_path):
    plain = train(simclr(), digits, quick(), tmp_path / "plain")
    cached = train(simclr(), digits, quick(cached=5), tmp_path / "cached")
    assert cached.loss == pytest.approx(plain.loss, rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16-mixed"},
        {"optimizer": "sgd", "clip": 1.0},
        {"drop_last": False, "batch_size": 60, "schedule": "constant"},
        {"workers": 1, "tensorboard": True},
    ],
    ids=str,
)
def test_settings_take_effect(simclr, digits, tmp_path, changes):
    plain = train(simclr(), digits, quick(), tmp_path / "plain")
    history = train(simclr(), digits, quick(**changes), tmp_path / "run")
    assert len(history.loss) == 6
    assert all(loss == loss for loss in history.loss)
    if changes.get("tensorboard"):
        assert history.loss == plain.loss
        assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    else:
        assert history.loss != plain.loss


def test_longer_than_the_data(simclr, digits, tmp_path):
    history = train(simclr(), digits, quick(batch_size=10_000, steps=2), tmp_path)
    assert history.epochs == 2


def test_hooks_are_called_in_order(simclr, digits, tmp_path):
    calls = []

    class Told(methods.find("simclr")):
        def begin_epoch(self, epoch, data):
            calls.append(("epoch", epoch))

        def before_step(self, progress):
            calls.append(("before", progress))

        def after_step(self, progress):
            calls.append(("after", progress))

    method = simclr()
    method.__class__ = Told
    train(method, digits, quick(batch_size=80, steps=3), tmp_path)
    assert calls == [
        ("epoch", 0),
        ("before", 0),
        ("after", 0),
        ("before", 1 / 3),
        ("after", 1 / 3),
        ("epoch", 1),
        ("before", 2 / 3),
        ("after", 2 / 3),
    ]


def test_loss_that_is_not_a_number_stops_the_run(simclr, digits, tmp_path):
    class Broken(methods.find("simclr")):
        def contrast(self, codes, batch):
            loss = super().contrast(codes, batch)["loss"]
            return {"loss": loss * float("nan") if self.broken else loss}

        def before_step(self, progress):
            self.broken = progress > 0.5

    method = simclr()
    method.__class__ = Broken
    with pytest.raises(DataError, match=r"became nan at step 4 \(learning rate .*Lower lr"):
        train(method, digits, quick(checkpoint_every=2), tmp_path)
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["step"] == 4


def test_embeddings_that_are_no_numbers_stop_the_run(simclr, digits, tmp_path):
    class Broken(methods.find("simclr")):
        def encode(self, batch):
            return {key: z * float("inf") for key, z in super().encode(batch).items()}

    method = simclr()
    method.__class__ = Broken
    with pytest.raises(DataError, match=r"At step 0, learning rate .*NaN or infinity"):
        train(method, digits, quick(), tmp_path)


def test_monitor_warnings_reach_history_and_watcher(simclr, digits, tmp_path):
    class Collapsed(methods.find("simclr")):
        def encode(self, batch):
            codes = super().encode(batch)
            return {key: 1e-4 * z + 1 for key, z in codes.items()}

    method = simclr()
    method.__class__ = Collapsed
    notes = []
    history = train(
        method, digits, quick(), tmp_path, on_progress=lambda event: notes.append(event.note)
    )
    assert any("collapsed" in text for text in history.warnings)
    assert any("collapsed" in note for note in notes)
    assert history.monitor["spread"] < 0.01


def test_resume_of_a_finished_run_changes_nothing(simclr, digits, tmp_path):
    method = simclr()
    first = train(method, digits, quick(), tmp_path)
    other = simclr()
    again = train(other, digits, quick(), tmp_path, resume=True)
    assert again == first
    for mine, theirs in zip(method.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_resume_without_a_checkpoint_starts_anew(simclr, digits, tmp_path):
    history = train(simclr(), digits, quick(), tmp_path, resume=True)
    assert history.loss == train(simclr(), digits, quick(), tmp_path / "b").loss


def test_interrupt_leaves_a_checkpoint_and_the_handler(simclr, digits, tmp_path):
    handler = signal.getsignal(signal.SIGINT)

    def stop(event):
        if event.done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match=r"step 2 of 6.*last\.pt.*resume=True"):
        train(simclr(), digits, quick(), tmp_path, on_progress=stop)
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["step"] == 2
    assert signal.getsignal(signal.SIGINT) is handler


def test_unusable_data_or_folder_is_refused_first(simclr, digits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="Cannot write to"):
        train(simclr(), digits, quick(), tmp_path / "file")
    with pytest.raises(DataError, match="simclr takes images"):
        train(simclr(), replace(digits, modality="text"), quick(), tmp_path)
    unlabelled = replace(digits, train=replace(digits.train, labels=None))
    encoder = encoders.build("mlp", modality="images", channels=1, size=8)
    with pytest.raises(DataError, match="needs labels"):
        train(methods.build("supcon", encoder), unlabelled, quick(), tmp_path)
    assert not (tmp_path / "metrics.csv").exists()


def test_full_disk_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(DataError, match=r"No space left.*previous checkpoint"):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_damaged_or_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "last.pt"
    with pytest.raises(DataError, match="No checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"half a file")
    with pytest.raises(DataError, match="cannot be read"):
        load_checkpoint(path)
    torch.save({"format": 99}, path)
    with pytest.raises(DataError, match="format 99"):
        load_checkpoint(path)


def test_lightning_is_silent(simclr, tmp_path, capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(simclr(), sources.load("digits", limit=100), quick(), tmp_path)
    out, err = capfd.readouterr()
    assert out == err == ""
    assert not [w for w in caught if "lightning" in str(w.filename)]


def test_the_course_of_a_run_is_kept(simclr, digits, tmp_path):
    history = train(simclr(), digits, quick(steps=50), tmp_path)
    assert [point["step"] for point in history.course] == [24, 49]
    for point in history.course:
        scores = point["scores"]
        assert scores["both"]["positive"][2] < scores["plain"]["positive"][2]
        assert 0 < scores["plain"]["pull"] < 1
        assert scores["plain"]["hardest"] == sorted(scores["plain"]["hardest"])
    assert load_history(tmp_path) == history
