from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from counterpoint.cli.guard import guarded
from counterpoint.cli.options import Config, Sets, settings, words
from counterpoint.errors import SettingError

seen: dict[str, Any] = {}
app = typer.Typer()


@app.command()
@guarded
def _verb(
    context: typer.Context,
    data: str = "digits",
    epochs: int = 1,
    methods: list[str] | None = None,
    batch_size: int = 8,
    sets: Sets = None,
    config: Config = None,
) -> None:
    seen.update(
        data=data,
        epochs=epochs,
        methods=words(methods),
        batch_size=batch_size,
        settings=settings(context, sets),
    )


def run(*args: Any) -> Any:
    seen.clear()
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(
        "data: glyphs\nbatch-size: 32\nmethods: simclr,dcl\n"
        "settings:\n  lr: 1e-3\n  temperature: 0.2\n"
    )
    return path


def test_values_are_typed_by_yaml() -> None:
    run(
        "--set", "a=3", "--set", "b=1e-3", "--set", "c=true", "--set", "d=word", "--set", "e=[1, 2]"
    )
    assert seen["settings"] == {"a": 3, "b": 0.001, "c": True, "d": "word", "e": [1, 2]}


def test_a_version_number_stays_a_word() -> None:
    run("--set", "a=1.2.3", "--set", "b=e5")
    assert seen["settings"] == {"a": "1.2.3", "b": "e5"}


def test_configuration_file_gives_defaults(config: Path) -> None:
    run("--config", config)
    assert seen == {
        "data": "glyphs",
        "epochs": 1,
        "methods": ["simclr", "dcl"],
        "batch_size": 32,
        "settings": {"lr": 0.001, "temperature": 0.2},
    }


def test_the_command_line_wins_over_the_file(config: Path) -> None:
    run("--data", "digits", "--set", "lr=0.5", "--config", config)
    assert seen["data"] == "digits"
    assert seen["settings"] == {"lr": 0.5, "temperature": 0.2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 3", "names and values"),
        ("a: [", "not YAML"),
        ("set: [a]", "set in"),
    ],
)
def test_bad_file_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    result = run("--config", path)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not seen


def test_unknown_keys_of_a_verb_with_settings_are_settings(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("temperature: 0.2\nsteps: null\nepochs: null\nset: {lr: 0.1}\n")
    run("--config", path, "--set", "lr=0.3")
    assert seen["settings"] == {"temperature": 0.2, "steps": None, "lr": 0.3}
    assert seen["epochs"] == 1


def test_unknown_keys_of_a_verb_without_settings_are_refused(tmp_path: Path, invoke: Any) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("datum: digits\n")
    result = invoke("embed", "model", "--data", "digits", "--config", path)
    assert result.exit_code == 2
    assert "Did you mean data?" in result.stderr


def test_missing_file(tmp_path: Path) -> None:
    result = run("--config", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "No such file" in result.stderr


@pytest.mark.parametrize("pair", ["lr", "=3", "a=[1"])
def test_bad_setting(pair: str) -> None:
    result = run("--set", pair)
    assert result.exit_code == 2
    assert "--set" in result.stderr


def test_words() -> None:
    assert words(None) is None
    assert words(["a, b", "c"]) == ["a", "b", "c"]


def test_settings_error_is_a_value_error() -> None:
    assert issubclass(SettingError, ValueError)
