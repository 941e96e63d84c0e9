import json
import math
from pathlib import Path

import pytest

from counterpoint import catalog
from counterpoint.claims import Claim, Part, find, names, run, try_out
from counterpoint.errors import CounterpointError, SettingError
from counterpoint.progress import Progress

RESULTS = Path(__file__).parents[2] / "claims" / "results"
FIELDS = {
    "id": str,
    "claim": str,
    "verdict": str,
    "effect": float,
    "ci95": list,
    "seeds": int,
    "baseline": str,
    "method": str,
    "metric": str,
}
WHOLE = FIELDS | {"data": str, "settings": dict, "minutes": float, "interval": str, "rule": str}


def claim(measure=None, **changes) -> Claim:
    parts = tuple(
        Part(id, f"{id} is claimed", f"method of {id}", f"baseline of {id}", "points", **changes)
        for id in ("first", "second")
    )
    measure = measure or (lambda seed: {"first": (seed + 1.0, 0.0), "second": (0.0, 3.0 + seed)})
    return Claim("synthetic", "both", "none", {"steps": (1, 2)}, parts, measure)


def test_result_holds_every_field_and_every_seed(tmp_path: Path) -> None:
    told: list[Progress] = []
    result = try_out(claim(), 3, told.append, tmp_path / "new")
    assert result["verdict"] == "refuted"
    assert [part["verdict"] for part in result["parts"]] == ["not shown", "refuted"]
    assert result["effect"] == 2
    assert result["method"] == "method of first"
    assert result["parts"][1]["values"][2] == {"seed": 2, "method": 0.0, "baseline": 5.0}
    assert [(p.done, p.total) for p in told] == [(1, 3), (2, 3), (3, 3)]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["synthetic.json"]
    written = json.loads((tmp_path / "new" / "synthetic.json").read_text())
    assert written == json.loads(json.dumps(result))


def test_a_failed_run_leaves_the_last_result(tmp_path: Path) -> None:
    try_out(claim(), 3, out=tmp_path)
    before = (tmp_path / "synthetic.json").read_text()

    def fails(seed: int) -> dict[str, tuple[float, float]]:
        return {"first": (math.nan, 0.0), "second": (0.0, 0.0)}

    with pytest.raises(CounterpointError, match="part first, seed 0: got"):
        try_out(claim(fails), 3, out=tmp_path)
    assert (tmp_path / "synthetic.json").read_text() == before


def test_measurements_must_be_those_declared() -> None:
    with pytest.raises(CounterpointError, match="declares"):
        try_out(claim(lambda seed: {"first": (1.0, 0.0)}), 3)


def test_too_few_seeds_unknown_ids_and_unwritable_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="at least 3 seeds"):
        try_out(claim(), 2)
    with pytest.raises(SettingError, match="Did you mean temperature"):
        run("temprature")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="Cannot write"):
        try_out(claim(), 3, out=tmp_path / "file")


def test_every_claim_is_of_a_system_and_declares_distinct_parts() -> None:
    assert {"dcl", "temperature", "naive-bayes-probe"} <= set(names())
    for id in names():
        found = find(id)
        assert found.id == catalog.find(id).id
        assert len({part.id for part in found.parts}) == len(found.parts) > 0
        json.dumps(found.settings)


@pytest.mark.parametrize("id", names())
def test_committed_result_is_that_of_the_claim_as_declared(id: str) -> None:
    result = json.loads((RESULTS / f"{id}.json").read_text())
    declared = find(id)
    for record, fields in [(result, WHOLE), *((part, FIELDS) for part in result["parts"])]:
        assert {name: type(record[name]) for name in fields} == fields
        assert record["verdict"] in ("holds", "not shown", "refuted")
        assert record["ci95"][0] <= record["effect"] <= record["ci95"][1]
    assert result["seeds"] >= 3
    assert result["claim"] == declared.claim
    assert result["settings"] == json.loads(json.dumps(declared.settings))
    assert [part["id"] for part in result["parts"]] == [part.id for part in declared.parts]


@pytest.mark.parametrize("id", names())
def test_committed_verdicts_follow_from_the_committed_values(id: str) -> None:
    result = json.loads((RESULTS / f"{id}.json").read_text())

    def measured(seed: int) -> dict[str, tuple[float, float]]:
        return {
            part["id"]: (part["values"][seed]["method"], part["values"][seed]["baseline"])
            for part in result["parts"]
        }

    declared = find(id)
    again = try_out(
        Claim(id, declared.claim, declared.data, declared.settings, declared.parts, measured),
        result["seeds"],
    )
    assert again["verdict"] == result["verdict"]
    assert again["parts"] == result["parts"]
