from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from counterpoint.data.corpus import read_corpus, relabelled
from counterpoint.errors import DataError, SettingError

CSV = "id,body,stars,note\n7,good,5,x\n7,,1,\n8,bad,1,y\n9, \t,,z\n10,fine,5,\n11,poor,1,w\n"


def csv(folder: Path, text: str = CSV, name: str = "t.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_every_row_and_column_is_kept_and_odd_ones_are_named(tmp_path: Path) -> None:
    file = csv(tmp_path)
    corpus = read_corpus(file, text="body", label="stars")
    assert corpus.table.column_names == ["id", "body", "stars", "note"]
    assert corpus.table.num_rows == len(corpus) == 6
    assert corpus.classes == ("1", "5")
    assert corpus.labels.tolist() == [1, 0, 0, -1, 1, 0]
    assert corpus.usable.tolist() == [True, False, True, False, True, True]
    said = {(p.where, p.what) for p in corpus.problems}
    assert ("line 3", "column 'body' is empty") in said
    assert ("line 5", "column 'stars' is empty") in said
    assert file.read_text(encoding="utf-8") == CSV


def test_jsonl_parquet_and_csv_agree_and_keep_their_types(tmp_path: Path) -> None:
    rows = [{"t": f"text {i}", "y": i % 2, "more": [i]} for i in range(6)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    lines = "\n".join(f'{{"t": "text {i}", "y": {i % 2}}}' for i in range(6))
    one = read_corpus(tmp_path / "a.parquet", text="t", label="y")
    two = read_corpus(csv(tmp_path, lines, "a.jsonl"), text="t", label="y")
    assert one.labels.tolist() == two.labels.tolist() == [0, 1, 0, 1, 0, 1]
    changed = relabelled(one, 1 - one.labels)
    assert changed.type == pa.int64()
    assert changed.to_pylist() == [1, 0, 1, 0, 1, 0]


def test_unchanged_labels_keep_their_spelling(tmp_path: Path) -> None:
    corpus = read_corpus(csv(tmp_path, "t,y\na, x\nb,x\nc,z\nd,z\n"), text="t", label="y")
    labels = corpus.labels.copy()
    labels[2] = 0
    assert relabelled(corpus, labels).to_pylist() == [" x", "x", " x", "z"]


def test_mixed_types_of_json_become_text(tmp_path: Path) -> None:
    lines = '{"t": "a", "y": 1}\n{"t": "b", "y": "1"}\n{"t": "c", "y": "no"}\n{"t": "d", "y": "no"}'
    corpus = read_corpus(csv(tmp_path, lines, "a.jsonl"), text="t", label="y")
    assert corpus.labels.tolist() == [0, 0, 1, 1]


def test_truth_and_split(tmp_path: Path) -> None:
    text = "t,y,g,s\na,x,x,train\nb,z,x,test\nc,z,z,Validation\nd,x,,train\n"
    corpus = read_corpus(csv(tmp_path, text), text="t", label="y", truth="g", split="s")
    assert corpus.truth is not None
    assert corpus.truth.tolist() == [0, 0, 1, -1]
    assert corpus.held.tolist() == [False, True, True, False]


def test_npz(tmp_path: Path) -> None:
    z, labels, truth = np.eye(5), [0, 1, 0, -1, 1], [1, 1, 0, 0, 1]
    np.savez(tmp_path / "z.npz", embeddings=z, labels=labels, classes=["a", "b"], truth=truth)
    corpus = read_corpus(tmp_path / "z.npz")
    assert corpus.kind == "embeddings"
    assert corpus.table["label"].to_pylist() == ["a", "b", "a", None, "b"]
    assert corpus.truth is not None
    assert corpus.truth.tolist() == truth
    np.savez(tmp_path / "bad.npz", embeddings=np.where(z, np.nan, z), labels=labels)
    with pytest.raises(DataError, match="row 0"):
        read_corpus(tmp_path / "bad.npz")
    np.savez(tmp_path / "few.npz", vectors=z)
    with pytest.raises(DataError, match="holds vectors"):
        read_corpus(tmp_path / "few.npz")


def test_missing_pictures_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    from PIL import Image

    for name in "abc":
        Image.new("RGB", (8, 8), (name == "a" and "red") or "blue").save(tmp_path / f"{name}.png")
    table = csv(tmp_path, "f,y\na.png,r\nb.png,b\nc.png,b\ngone.png,r\n")
    corpus = read_corpus(table, image="f", label="y")
    assert corpus.usable.tolist() == [True, True, True, False]
    assert corpus.problems[0].where == "line 5"
    assert "gone.png" in corpus.problems[0].what


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("t,y\na,1\nb,2\n", {"text": "tt", "label": "y"}, "Did you mean t"),
        ("t,y\na,1\nb,2\n", {"text": "t"}, "which column holds the labels"),
        ("t,y\na,1\nb,1\n", {"text": "t", "label": "y"}, "one class only"),
        ("t,y\na,\nb,\n", {"text": "t", "label": "y"}, "is empty"),
        ("t,y\na,1\nb,2\nc,3\n", {"text": "t", "label": "y"}, "names no classes"),
        ("t,y\n ,1\n,2\n,1\n,2\n", {"text": "t", "label": "y"}, "no row has content"),
        ("t,y\n", {"text": "t", "label": "y"}, "no rows"),
        ("t,t\na,1\n", {"text": "t", "label": "t"}, "several columns"),
        ("t,y\na,1\nb,2\n", {"text": "t", "label": "y", "truth": "g"}, "no column 'g'"),
    ],
)
def test_bad_tables_say_what_to_do(tmp_path: Path, text: str, columns: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_corpus(csv(tmp_path, text), **columns)


def test_broken_utf8_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"t,y\nfine,1\nbr\xffken,2\n")
    with pytest.raises(DataError, match="line 3"):
        read_corpus(tmp_path / "t.csv", text="t", label="y")


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder or file"):
        read_corpus(tmp_path / "gone.csv", text="t", label="y")
    with pytest.raises(DataError, match=r"\.xlsx"):
        read_corpus(csv(tmp_path, "", "t.xlsx"), text="t", label="y")
    with pytest.raises(SettingError, match="no columns"):
        read_corpus("digits", text="t")
    with pytest.raises(SettingError, match="either"):
        read_corpus(csv(tmp_path), text="t", image="f", label="y")


def test_folder_of_images_keeps_its_split(tmp_path: Path) -> None:
    from PIL import Image

    for part in ("train", "test"):
        for name, colour in (("r", "red"), ("b", "blue")):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(3):
                picture = Image.new("RGB", (8 + i, 8), colour)
                picture.putpixel((i, 0), (i * 80, 255, 0))
                picture.save(tmp_path / part / name / f"{i}.png")
    corpus = read_corpus(tmp_path)
    assert corpus.kind == "images"
    assert corpus.held.sum() == 6
    assert corpus.table.column_names == ["name", "label", "split"]
