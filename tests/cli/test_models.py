"""fit, and the verbs that use what it made, on real data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from counterpoint.cli import app as cli

FIT = ("fit", "simclr", "--data", "digits", "--steps", "3", "--batch-size", "64")


def run(*args: Any) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "fit"
    result = run(*FIT, "--set", "outputs=16", "--set", "lr=1e-2", "--out", folder, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["directory"] == str(folder)
    assert told["arguments"]["outputs"] == 16
    assert told["settings"]["lr"] == 0.01
    assert told["results"]["steps"] == 3
    return folder


def test_fit_saves_the_resolved_configuration_which_starts_it_again(
    fitted: Path, tmp_path: Path
) -> None:
    config = fitted / "config.yaml"
    result = run("fit", "simclr", "--config", config, "--out", tmp_path / "again", "--json")
    assert result.exit_code == 0, result.output
    again = tmp_path / "again" / "config.yaml"
    assert yaml.safe_load(again.read_text()) == yaml.safe_load(config.read_text())


def test_fit_names_the_items_it_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(8):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "pictures" / "torn.png").write_bytes(b"no picture")
    result = run(
        *("fit", "simclr", "--data", tmp_path / "pictures", "--steps", "1", "--batch-size", "4"),
        *("--out", tmp_path / "run"),
    )
    assert result.exit_code == 0, result.output
    assert "torn.png cannot be read as an image" in result.stderr
    assert json.loads((tmp_path / "run" / "problems.json").read_text())[0]["where"] == "torn.png"


def test_fit_prints_where_the_model_is(fitted: Path) -> None:
    result = run("fit", "simclr", "--config", fitted / "config.yaml", "--resume", "--out", fitted)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"{fitted}/model"
    assert "3 steps" in result.stderr


def test_encoder_with_options(tmp_path: Path) -> None:
    encoder = "{name: mlp, width: 16, hidden: 32}"
    result = run(*FIT, "--encoder", encoder, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert config["encoder"]["width"] == 16


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("fit", "simcl", "--data", "digits"), "Did you mean simclr"),
        ((*FIT, "--set", "temperatur=1"), "Did you mean temperature"),
        ((*FIT, "--set", "temperature=-1"), "temperature"),
        ((*FIT, "--epochs", "2"), "epochs or steps, not both"),
        (("fit", "simclr", "--data", "no-such-folder"), "no-such-folder"),
        ((*FIT, "--devices", "4", "--groups-of", "3"), "groups_of=3 must divide devices=4"),
        (("probe", "no-such-model", "--data", "digits"), "No model in no-such-model"),
    ],
)
def test_mistakes_are_one_clear_line(
    args: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert said in result.stderr
    assert result.stderr.startswith("counterpoint: ")
    assert result.stderr.count("\n") == 1


def test_missing_option_is_named() -> None:
    result = run("fit", "simclr")
    assert result.exit_code == 2
    assert "--data" in result.stderr


def test_embed_writes_one_row_a_sample(fitted: Path, tmp_path: Path) -> None:
    file = tmp_path / "z.npz"
    result = run("embed", fitted / "model", "--data", "digits", "--limit", 100, "--out", file)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(file)
    with np.load(file) as found:
        assert found["embeddings"].shape[0] == len(found["names"]) == 100
        assert np.isfinite(found["embeddings"]).all()


def test_embed_refuses_an_unknown_ending(fitted: Path, tmp_path: Path) -> None:
    result = run("embed", fitted / "model", "--data", "digits", "--out", tmp_path / "z.csv")
    assert result.exit_code == 2
    assert ".parquet or .npz" in result.stderr


def test_probe_scores_and_names_its_protocol(fitted: Path) -> None:
    result = run("probe", fitted / "model", "--data", "digits", "--limit", 300, "--json")
    found = json.loads(result.stdout)
    assert {name: 0 <= value <= 1 for name, value in found["probes"].items()} == {
        "knn": True,
        "linear": True,
        "naive_bayes": True,
    }
    assert all(value is not None for value in found["geometry"].values())
    assert found["protocol"]["name"]
    shown = run("probe", fitted / "model", "--data", "digits", "--limit", 300)
    assert f"{found['probes']['knn']:.3f}" in shown.stdout
    assert found["protocol"]["name"] in shown.stderr


def test_few_shot_and_dense_probes(fitted: Path) -> None:
    probe = ("probe", fitted / "model", "--data", "digits", "--limit", 400, "--probe")
    few = (*probe, "few-shot", "--set", "queries=3", "--set", "episodes=5")
    found = json.loads(run(*few, "--json").stdout)
    low, high = found["gain"]["ci95"]
    assert low <= found["gain"]["mean"] <= high
    assert f"{found['transductive']['mean']:.3f}" in run(*few).stdout
    dense = json.loads(run(*probe, "dense", "--json").stdout)
    assert f"{dense['accuracy']:.3f}" in run(*probe, "dense").stdout
    refused = run(*probe, "protocol", "--set", "ways=2")
    assert refused.exit_code == 2
    assert "takes no setting, so not ways" in refused.stderr


def test_inspect_writes_a_page(fitted: Path, tmp_path: Path) -> None:
    page = tmp_path / "space.html"
    result = run(
        "inspect", fitted / "model", "--data", "digits", "--limit", 100, "--out", page, "--json"
    )
    found = json.loads(result.stdout)
    assert found["page"] == str(page)
    assert found["scores"]["of_views"]
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_data_of_another_kind_than_the_model_embeds_is_refused(
    fitted: Path, tmp_path: Path
) -> None:
    table = tmp_path / "texts.csv"
    table.write_text("body\n" + "\n".join(f"text number {n}" for n in range(20)))
    out = tmp_path / "z.npz"
    result = run("embed", fitted / "model", "--data", table, "--text", "body", "--out", out)
    assert result.exit_code == 2
    assert f"The model in {fitted / 'model'} embeds images; texts.csv holds text." in result.stderr
    assert not out.exists()
