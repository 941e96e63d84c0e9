from __future__ import annotations

from typing import Any

import torch

from counterpoint.apps import doctor
from counterpoint.data import builtin


def test_json_names_versions_devices_extras_and_data(as_json: Any) -> None:
    found = as_json("doctor")
    assert found["machine"]["torch"] == torch.__version__
    assert "cpu" in found["machine"]["devices"]
    assert found["packages"]["typer"]
    assert set(found["data"]) == {source.name for source in builtin()}
    assert found["extras"]["probe"]["install"] == "pip install 'counterpoint[probe]'"


def test_table_fits_a_terminal(invoke: Any) -> None:
    result = invoke("doctor")
    assert result.exit_code == 0
    assert "torch" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_missing_packages_are_named_with_the_command(invoke: Any, monkeypatch: Any) -> None:
    here = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: None if name == "timm" else here(name))
    assert doctor.examine()["extras"]["image"]["missing"] == ["timm"]
    result = invoke("doctor")
    assert "missing timm" in result.stdout
    assert "pip install 'counterpoint[image]'" in result.stderr


def test_collecting_extras_name_every_package() -> None:
    extras = doctor._requirements()
    assert "torch" in extras[""]
    assert {"timm", "lightning", "scikit-learn"} <= set(extras["app"]) <= set(extras["all"])
