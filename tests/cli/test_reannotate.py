from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

QUICK = ("--set", "hidden=16", "--set", "neighbours=10")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 3
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.3 * rng.normal(size=(120, 12))
    labels = truth.copy()
    labels[:9] = (labels[:9] + 1) % 3
    np.savez(tmp_path / "z.npz", embeddings=z, labels=labels, truth=truth)
    return tmp_path / "z.npz"


def test_json_holds_the_findings_and_the_files(as_json: Any, file: Path, tmp_path: Path) -> None:
    found = as_json("reannotate", file, "--out", tmp_path / "o", *QUICK)
    assert found["flagged"] >= 8
    assert found["proof"]["methods"]["counterpoint"]["auroc"] > 0.95
    assert all(Path(path).is_file() for path in found["files"].values())
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "labels look wrong" in page
    assert "<script src" not in page


def test_tables_for_people(invoke: Any, file: Path, tmp_path: Path) -> None:
    result = invoke("reannotate", file, "--out", tmp_path / "o", *QUICK)
    assert result.exit_code == 0, result.output
    assert "labels look wrong" in result.stdout
    assert "average precision" in result.stdout
    assert result.stdout.strip().endswith("report.html")
    assert f"counterpoint review {tmp_path / 'o'}" in result.stderr
    assert "Neighbours see labels that differ" in result.stderr


def test_a_budget_says_what_came_of_it(invoke: Any, file: Path, tmp_path: Path) -> None:
    result = invoke("reannotate", file, "--out", tmp_path / "o", "--budget", "1", *QUICK)
    assert result.exit_code == 0, result.output
    assert "Only text encoders are fine-tuned" in result.stderr
    result = invoke("reannotate", file, "--budget", "0")
    assert result.exit_code == 2
    assert "budget must be a number of minutes above 0" in result.stderr


def test_built_in_pictures_with_planted_noise(as_json: Any, tmp_path: Path) -> None:
    out = tmp_path / "o"
    found = as_json(
        "reannotate",
        "digits",
        "--limit",
        300,
        "--noise",
        0.1,
        "--kind",
        "uniform",
        "--out",
        out,
        *QUICK,
    )
    assert found["proof"]["wrong"] == 30
    assert found["proof"]["methods"]["counterpoint"]["average_precision"] > 0.8
    assert "data:image/png" in (out / "report.html").read_text(encoding="utf-8")


def test_several_labels_with_a_separator(as_json: Any, invoke: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 3)) < 0.4
    z = truth @ np.repeat(np.eye(3), 4, axis=1) + 0.2 * rng.normal(size=(200, 12))
    marks = truth.copy()
    marks[:8] = ~marks[:8]
    np.savez(tmp_path / "z.npz", embeddings=z, labels=marks, classes=list("abc"))
    found = as_json("reannotate", tmp_path / "z.npz", "--out", tmp_path / "o", *QUICK)
    assert found["multi_label"]["wrong"] + found["multi_label"]["missing"] >= 12
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "more look missing" in page
    result = invoke("reannotate", tmp_path / "z.npz", "--noise", "0.1", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert "missing and extra" in result.stderr
    assert "more missing, in" in result.stdout


def test_options_of_relations(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("s,o,y\na,b,1\nb,c,2\n")
    asked = ("reannotate", tmp_path / "t.csv", "--label", "y", "--subject", "s")
    assert "name subject and object" in invoke(*asked).stderr
    result = invoke(*asked, "--object", "o", "--template", "{subject}")
    assert result.exit_code == 2
    assert "lacks {object}" in result.stderr
    assert "names no classes" in invoke(*asked, "--object", "o").stderr


def test_hostile_text_is_shown_as_text(invoke: Any, tmp_path: Path, monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        "counterpoint.apps.representations.represent_texts",
        lambda texts, *_, **__: (
            np.eye(2)[[len(t) % 2 for t in texts]] + 0.1 * rng.normal(size=(len(texts), 2))
        ),
    )
    lines = [f"<script>alert({i})</script>{'x' * (i % 2)},{'ab'[i % 2]}" for i in range(10, 60)]
    lines[0] = lines[0][:-1] + "b"
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(lines))
    result = invoke(
        "reannotate",
        tmp_path / "t.csv",
        "--text",
        "text",
        "--label",
        "label",
        "--out",
        tmp_path / "o",
        *QUICK,
    )
    assert result.exit_code == 0, result.output
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(" not in page
    assert "&lt;script&gt;alert(10)" in page


def test_errors_are_one_line(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\na,1\nb,2\n")
    result = invoke("reannotate", tmp_path / "t.csv", "--text", "txt", "--label", "label")
    assert result.exit_code == 2
    assert "Did you mean text?" in result.stderr
    result = invoke("reannotate", tmp_path / "t.csv", "--set", "neighbors=3")
    assert result.exit_code == 2
    assert "neighbours" in result.stderr


def test_a_folder_of_parts_becomes_a_folder_of_parts(
    as_json: Any, invoke: Any, file: Path, tmp_path: Path
) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    with np.load(file) as arrays:
        z, labels = arrays["embeddings"].tolist(), arrays["labels"].tolist()
    (tmp_path / "in").mkdir()
    for part in (0, 1):
        own = slice(60 * part, 60 * part + 60)
        table = arrow.table({"z": z[own], "kind": labels[own]})
        parquet.write_table(table, tmp_path / "in" / f"{part}.parquet")
    given = ("reannotate", tmp_path / "in", "--embedding", "z", "--label", "kind")
    found = as_json(*given, "--out", tmp_path / "o", *QUICK)
    assert found["flagged"] >= 8
    assert {f.name for f in (tmp_path / "o" / "denoised").iterdir()} == {"0.parquet", "1.parquet"}
    assert "labels look wrong" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    noisy = as_json(*given, "--noise", "0.1", "--out", tmp_path / "n", *QUICK)
    assert noisy["planted"]["share"] == 0.1
    assert noisy["proof"]["wrong"] == 12
    result = invoke(*given, "--budget", "3")
    assert result.exit_code == 2
    assert "fine-tuning holds all texts" in result.stderr
    result = invoke("reannotate", "digits", "--engine", "ray")
    assert result.exit_code == 2
    assert "takes a folder of Parquet files" in result.stderr


def test_an_unknown_engine_is_said_with_the_known_ones(invoke: Any, tmp_path: Path) -> None:
    result = invoke("reannotate", tmp_path / "any.csv", "--engine", "dask")
    assert result.exit_code == 2
    assert "Unknown engine 'dask'. Known: local, ray." in result.stderr
