from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

COUNTERPOINT = (sys.executable, "-c", "from counterpoint.cli import main; main()")


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> Path:
    """What `counterpoint reannotate` wrote of 90 embeddings, six of them labelled wrongly."""
    from counterpoint.apps.reannotate import reannotate_corpus
    from counterpoint.curation.judge import Judge
    from counterpoint.data.corpus import read_corpus

    folder: Path = tmp_path_factory.mktemp("written")
    rng = np.random.default_rng(0)
    truth = np.arange(90) % 3
    labels = truth.copy()
    labels[:6] = (labels[:6] + 1) % 3
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.2 * rng.normal(size=(90, 12))
    np.savez(folder / "z.npz", embeddings=z, labels=labels, classes=("cat", "=dog", "owl"))
    judge = Judge(neighbours=10, network=False)
    reannotate_corpus(read_corpus(folder / "z.npz"), folder / "out", judge=judge)
    return folder / "out"


@pytest.fixture
def found(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "found"))


def test_serves_is_killed_and_goes_on(found: Path, as_json: Any, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")

    def served(send: signal.Signals, row: int) -> tuple[dict[str, Any], str]:
        command = (*COUNTERPOINT, "review", str(found), "--reviewer", "ada", "--no-browser")
        child = subprocess.Popen(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stderr is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(child.stdout.readline())
        said: dict[str, Any] = json.loads("".join(lines))
        body = json.dumps({"row": row, "action": "keep", "seen": None}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{said['address']}api/decide", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["row"] == row
        os.kill(child.pid, send)
        _, complaints = child.communicate(timeout=20)
        assert child.returncode == (0 if send == signal.SIGINT else -send)
        return said, complaints

    first, _ = served(signal.SIGKILL, 0)
    assert first["keep"] == 0
    assert first["total"] >= 6
    second, complaints = served(signal.SIGINT, 1)
    assert second["keep"] == 1
    assert second["address"] != first["address"]
    assert "Stopped. Every decision is kept." in complaints
    assert "Traceback" not in complaints
    written = as_json("review", found, "--export", tmp_path / "d.parquet")
    assert written["decisions"]["rows"] == 2


def test_exports_for_people(found: Path, invoke: Any, tmp_path: Path) -> None:
    from counterpoint.apps.review.intake import open_review

    store = open_review(found)
    store.decide("ada", 0, "accept", "cat")
    store.decide("bob", 0, "keep")
    store.close()
    files = tmp_path / "d.csv", tmp_path / "c.csv"
    result = invoke("review", found, "--export", files[0], "--corrected", files[1])
    assert result.exit_code == 0, result.output
    assert "d.csv (decisions, rows: 2)" in result.stdout
    assert "because reviewers disagree: 1;" in result.stderr
    assert "led by an apostrophe" in result.stderr
    assert ",'=dog," in files[0].read_text()
    result = invoke("review", found, "--export", files[0], "--reviewer", "bob")
    assert "rows: 1" in result.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--export", "d.xlsx"), "must end in .csv or .parquet"),
        (("--reviewer", " "), "printable characters"),
        (("--port", "70000"), "65535"),
    ],
)
def test_wrong_options_are_one_line(
    found: Path, invoke: Any, options: tuple[str, ...], says: str
) -> None:
    result = invoke("review", found, *options)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_folder_without_results(invoke: Any, tmp_path: Path) -> None:
    result = invoke("review", tmp_path)
    assert result.exit_code == 2
    assert "Run `counterpoint reannotate FILE --out" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_in_parts_is_told_from_no_findings(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "credibility").mkdir()
    result = invoke("review", tmp_path)
    assert result.exit_code == 2
    assert "a corpus in parts, which has no review" in result.stderr


def test_an_extra_that_is_missing_is_named(found: Path, invoke: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = invoke("review", found, "--no-browser")
    assert result.exit_code == 2
    assert "pip install 'counterpoint[review]'" in result.stderr


def test_help_teaches(invoke: Any) -> None:
    said = " ".join(invoke("review", "--help").stdout.split())
    assert "a accept, k keep" in said
    assert "review runs/my-run --reviewer ada" in said
