from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from counterpoint.cli import app as cli

SMALL = ("compare", "--data", "digits", "--limit", "200", "--steps", "2", "--batch-size", "32")


def run(*args: Any, **more: Any) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args], **more)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "compare"
    result = run(*SMALL, "--methods", "pixels,simclr", "--methods", "supcon", "--out", folder)
    assert result.exit_code == 0, result.output
    (folder / "stdout.txt").write_text(result.stdout)
    assert "report.html" in result.stderr
    return folder


def test_leaderboard_is_drawn_and_everything_written(directory: Path) -> None:
    shown = (directory / "stdout.txt").read_text()
    assert [name for name in ("simclr", "supcon", "pixels") if name in shown] == [
        "simclr",
        "supcon",
        "pixels",
    ]
    assert "naive Bayes" in shown
    assert max(map(len, shown.splitlines())) <= 80
    names = {path.name for path in directory.iterdir()}
    assert {"report.html", "results.json", "config.yaml", "simclr", "supcon"} <= names


def test_results_have_every_promised_field(directory: Path) -> None:
    results = json.loads((directory / "results.json").read_text())
    assert {"protocol", "data", "rows"} <= set(results)
    for row in results["rows"]:
        assert set(row["probes"]) == {"knn", "linear", "naive_bayes"}
        assert set(row["geometry"]) == {"alignment", "uniformity", "tolerance", "effective_rank"}
        assert {"method", "loss", "seconds", "peak_mb", "samples_per_second"} <= set(row)


def test_json_is_the_results_file_and_the_configuration_runs_again(
    directory: Path, tmp_path: Path
) -> None:
    config = directory / "config.yaml"
    result = run("compare", "--config", config, "--out", tmp_path / "again", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "again" / "results.json").read_text())
    first = json.loads((directory / "results.json").read_text())
    assert [r["probes"] for r in told["rows"]] == [r["probes"] for r in first["rows"]]
    again = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())
    assert again == yaml.safe_load(config.read_text())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--methods", "simclr,mocco"), "Did you mean moco"),
        (("--set", "temperatur=2"), "Did you mean temperature"),
        (("--encoder", "conv-smal"), "conv-small"),
        (("--data", "digit"), "Did you mean digits"),
    ],
)
def test_mistakes_cost_nothing(
    args: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*SMALL, *args)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.rglob("results.json")) == []


def test_an_unwritable_folder_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(*SMALL, "--out", tmp_path / "file" / "run")
    assert result.exit_code == 2
    assert str(tmp_path / "file") in result.stderr


def test_ctrl_c_keeps_what_was_done_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = "from counterpoint.cli import main; main()"
    args = ("--methods", "pixels,simclr", "--steps", "100000", "--limit", "200", "--out", str(out))
    command = [sys.executable, "-c", code, "compare", "--data", "digits", *args]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        wait_for(out / "simclr" / "metrics.csv")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert f"interrupted; rows done: 1, kept in {out}" in said
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["pixels"]
    assert (out / "report.html").is_file()


def wait_for(file: Path, seconds: float = 120.0) -> None:
    start = time.monotonic()
    while not file.exists():
        assert time.monotonic() - start < seconds, f"{file} did not appear"
        time.sleep(0.1)


def test_problems_are_named_and_unlabelled_data_show_their_geometry(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        Image.new("L", (16, 16), number * 20).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    result = run("compare", "--data", folder, "--methods", "pixels", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "broken.png" in result.stderr
    assert "uniformity" in result.stdout
    assert "kNN" not in result.stdout
