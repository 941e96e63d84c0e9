from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from counterpoint import data as sources
from counterpoint.apps.entries import check_settings, entries, settings_of, usual
from counterpoint.errors import SettingError


@pytest.fixture(scope="module")
def digits() -> Any:
    return sources.load("digits", limit=60)


def without_labels(data: Any) -> Any:
    return replace(
        data, train=replace(data.train, labels=None), test=replace(data.test, labels=None)
    )


def test_usual_lines_have_floors_methods_and_a_ceiling(digits: Any) -> None:
    roles = {entry.label: entry.role for entry in entries(usual(digits), digits)}
    assert roles == {
        "untrained": "floor",
        "pixels": "floor",
        "simclr": "method",
        "simclr+dcl": "method",
        "moco": "method",
        "supcon": "ceiling",
    }


def test_without_labels_there_is_no_ceiling(digits: Any) -> None:
    plain = without_labels(digits)
    assert "supcon" not in usual(plain)
    with pytest.raises(SettingError, match="needs labels"):
        entries(["supcon"], plain)
    assert "supcon" not in [entry.label for entry in entries(["all"], plain)]


def test_all_is_the_floors_and_every_method_of_the_kind_of_data(digits: Any) -> None:
    labels = [entry.label for entry in entries(["all-image"], digits)]
    assert labels[:2] == ["untrained", "pixels"]
    assert {"simclr", "mochi", "supcon"} <= set(labels)
    assert "simcse" not in labels
    assert labels == [entry.label for entry in entries(["all"], digits)]
    with pytest.raises(SettingError, match=r"all-text.*holds images"):
        entries(["all-text"], digits)


def test_settings_of_one_line_stand_behind_its_name(digits: Any) -> None:
    low, high = entries(["simclr+dcl:temperature=0.07", "simclr:temperature=1:steps=5"], digits)
    assert low.arguments == {"objective": "dcl", "temperature": 0.07}
    assert settings_of(high, {"steps": 3}) == {"temperature": 1, "steps": 5}
    assert high.folder == "simclr_temperature=1_steps=5"


def test_objective_after_the_plus_is_an_argument(digits: Any) -> None:
    (entry,) = entries(["simclr+dcl"], digits)
    assert (entry.method, entry.arguments) == ("simclr", {"objective": "dcl"})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["simcrl"], "simclr"),
        (["simclr", "simclr"], "twice"),
        (["simcse"], "takes text"),
        (["moco+dcl"], "objective"),
        (["moco:temprature=1"], "Did you mean temperature"),
        (["moco:temperature=0"], "greater than 0"),
        (["moco:temperature"], "METHOD:NAME=VALUE"),
        (["words"], "Unknown method"),
    ],
)
def test_wrong_lines_are_refused_with_a_hint(digits: Any, names: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        entries(names, digits)


def test_settings_reach_the_methods_that_know_them(digits: Any) -> None:
    simclr, moco = entries(["simclr", "moco"], digits)
    given = {"temperature": 0.3, "queue": 64, "moco.temperature": 0.2, "lr": 0.01}
    check_settings([simclr, moco], given)
    assert settings_of(simclr, given) == {"temperature": 0.3, "lr": 0.01}
    assert settings_of(moco, given) == {"temperature": 0.2, "queue": 64, "lr": 0.01}


def test_a_setting_that_reaches_nothing_is_refused(digits: Any) -> None:
    lines = entries(["pixels", "simclr"], digits)
    with pytest.raises(SettingError, match="temperature"):
        check_settings(lines, {"temprature": 0.3})
    with pytest.raises(SettingError, match="Unknown setting"):
        check_settings(lines, {"moco.queue": 3})


def test_the_idea_of_a_line_names_its_own_objective(digits: Any) -> None:
    plain, other = entries(["simclr", "simclr+hard_contrastive"], digits)
    assert plain.idea.startswith("Two views, one encoder")
    assert other.idea.startswith(f"{plain.idea} Objective: ")
    assert "`" not in other.idea
