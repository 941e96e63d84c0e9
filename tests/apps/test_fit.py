import os
import signal

import pytest
import torch
import yaml

from counterpoint import data as sources
from counterpoint.apps.fit import fit, plan
from counterpoint.encoders import build
from counterpoint.errors import DataError, SettingError
from counterpoint.training import Interrupted

torch.set_num_threads(1)
QUICK = {"steps": 4, "batch_size": 32, "log_every": 1}


@pytest.fixture(scope="module")
def digits():
    return sources.load("digits", limit=150)


def test_one_namespace_of_settings():
    planned = plan("simclr", {"temperature": "0.2", "epochs": 3, "objective": "dcl"})
    assert planned.arguments["temperature"] == 0.2
    assert planned.settings.epochs == 3
    assert planned.flat()["objective"] == "dcl"
    with pytest.raises(SettingError, match="Did you mean temperature"):
        plan("simclr", {"temperatur": 1})
    with pytest.raises(SettingError, match="Did you mean batch_size"):
        plan("simclr", {"batchsize": 1})
    with pytest.raises(SettingError, match="Did you mean simclr"):
        plan("simclrr", {})


def test_writes_everything_and_the_same_config_repeats_the_run(digits, tmp_path):
    first = fit("simclr", digits, out=tmp_path / "a", objective="dcl", seed=3, **QUICK)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    files = {"config.yaml", "problems.json", "metrics.csv", "history.json"}
    assert names == files | {"checkpoints", "model"}
    config = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())
    assert (config["objective"], config["seed"], config["lr"]) == ("dcl", 3, 1e-3)
    config["data"] = digits
    again = fit(**config, out=tmp_path / "b")
    for mine, theirs in zip(first.encoder.parameters(), again.encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_data_and_encoder_by_name(tmp_path):
    encoder = {"name": "conv-tiny", "width": 64}
    model = fit("simclr", "digits", size=10, encoder=encoder, out=tmp_path, **QUICK)
    assert model.encoder.width == 64
    assert model.encoder.config["size"] == 10
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["encoder"] == encoder
    assert (config["data"], config["size"]) == ("digits", 10)


def test_default_folder_is_under_runs(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit("simclr", digits, **QUICK)
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.endswith("-simclr")


def test_resume_takes_settings_from_the_run_and_refuses_others(digits, tmp_path):
    def stop(event):
        if event.done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    whole = fit("simclr", digits, out=tmp_path / "whole", **QUICK)
    with pytest.raises(Interrupted):
        fit("simclr", digits, out=tmp_path / "cut", on_progress=stop, **QUICK)
    assert not (tmp_path / "cut" / "model").exists()
    with pytest.raises(SettingError, match=r"temperature=0.5 \(was 0.1\)"):
        fit("simclr", digits, out=tmp_path / "cut", resume=True, temperature=0.5)
    with pytest.raises(SettingError, match="run of simclr, not of moco"):
        fit("moco", digits, out=tmp_path / "cut", resume=True)
    resumed = fit("simclr", digits, out=tmp_path / "cut", resume=True, checkpoint_every=1)
    for mine, theirs in zip(whole.encoder.parameters(), resumed.encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_resume_needs_a_run(digits, tmp_path):
    with pytest.raises(SettingError, match="needs out="):
        fit("simclr", digits, resume=True)
    with pytest.raises(DataError, match="no run to resume"):
        fit("simclr", digits, out=tmp_path, resume=True)


def test_bad_settings_and_folders_fail_before_training(digits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="Cannot write to"):
        fit("simclr", digits, out=tmp_path / "file" / "run", **QUICK)
    with pytest.raises(SettingError, match="takes text"):
        fit("simcse", digits, out=tmp_path / "run", **QUICK)
    with pytest.raises(SettingError, match="Unknown data set"):
        fit("simclr", "digitz", out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_an_encoder_object_is_trained_in_place(digits, tmp_path):
    encoder = build("mlp", modality="images", channels=1, size=8)
    before = [p.detach().clone() for p in encoder.parameters()]
    model = fit("moco", digits, encoder=encoder, out=tmp_path, queue=64, **QUICK)
    assert model.encoder is encoder
    after = list(encoder.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_a_generator_is_trained_first_and_goes_on_where_it_was(tmp_path, monkeypatch):
    """Killed while its generator is trained, a run resumes to the numbers of one left alone."""
    pytest.importorskip("diffusers")
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    data = sources.load("digits", limit=20)
    chosen = {"sampling": 2, "encoder": "mlp", **QUICK, "batch_size": 8}
    whole = fit("genview", data, out=tmp_path / "whole", **chosen)
    assert (tmp_path / "whole" / "generator" / "model" / "pipeline").is_dir()

    def interrupt(event):
        if event.stage == "train diffusion" and event.done >= 20:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        fit("genview", data, out=tmp_path / "cut", on_progress=interrupt, **chosen)
    resumed = fit("genview", data, out=tmp_path / "cut", resume=True, **chosen)
    for mine, theirs in zip(whole.encoder.parameters(), resumed.encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)
