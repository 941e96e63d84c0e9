from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from counterpoint.data.corpus import MultiLabelCorpus, read_corpus, relabelled
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


def test_lists_and_a_separator_are_several_labels(tmp_path: Path) -> None:
    lists = '{"t": "a", "y": ["x", "z"]}\n{"t": "b", "y": []}\n{"t": "c", "y": ["x"]}\n{"t": "d"}'
    lists += '\n{"t": "e", "y": ["z"]}'
    one = read_corpus(csv(tmp_path, lists, "a.jsonl"), text="t", label="y")
    text = "t,y\na,x; z\nb,-\nc,x\nd,\ne,z\nf,-\n"
    two = read_corpus(csv(tmp_path, text), text="t", label="y", separator=";")
    assert isinstance(one, MultiLabelCorpus)
    assert isinstance(two, MultiLabelCorpus)
    assert one.classes == ("x", "z")
    assert one.marks.tolist() == [[1, 1], [0, 0], [1, 0], [0, 0], [0, 1]]
    assert one.usable.tolist() == [True, True, True, False, True]
    assert [(p.where, p.what) for p in one.problems] == [("line 4", "column 'y' is empty")]
    assert two.classes == ("-", "x", "z")
    assert two.marks.tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_truth_of_several_labels_must_be_whole(tmp_path: Path) -> None:
    text = "t,y,g\na,x,x|z\nb,x|z,x\nc,z|x,{}\n"
    whole = read_corpus(
        csv(tmp_path, text.format("z")), text="t", label="y", truth="g", separator="|"
    )
    assert isinstance(whole, MultiLabelCorpus)
    assert whole.truth is not None
    assert whole.truth.tolist() == [[True, True], [True, False], [False, True]]
    gap = read_corpus(csv(tmp_path, text.format("")), text="t", label="y", truth="g", separator="|")
    assert gap.truth is None
    assert gap.problems[-1].where == "line 4"


def test_npz_of_several_labels(tmp_path: Path) -> None:
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    np.savez(tmp_path / "z.npz", embeddings=np.eye(4), labels=labels, classes=["a", "b"])
    corpus = read_corpus(tmp_path / "z.npz")
    assert isinstance(corpus, MultiLabelCorpus)
    assert corpus.marks.tolist() == labels.astype(bool).tolist()
    assert corpus.table["label"].to_pylist() == [["a"], ["a", "b"], [], ["b"]]


RELATIONS = (
    "s,o,t,y\nParis,France,Paris is in France.,in\ncat,animal,A cat is an animal.,is\n"
    "Rome,Italy,She left Rome.,in\n,Peru,Lima is in Peru.,in\ndog,animal,A dog is an animal.,is\n"
)


def test_relations_are_marked_or_written_by_a_template(tmp_path: Path) -> None:
    file = csv(tmp_path, RELATIONS)
    corpus = read_corpus(file, text="t", label="y", subject="s", object_="o")
    assert corpus.items[0] == "[E1] Paris [/E1] is in [E2] France [/E2]."
    assert corpus.items[2] == "[E1] Rome [/E1] [E2] Italy [/E2] She left Rome."
    assert corpus.items[3] is None
    assert [(p.where, p.what, p.used) for p in corpus.problems] == [
        ("line 4", "column 't' does not hold the object; put before it", True),
        ("line 5", "column 's' is empty", False),
    ]
    assert corpus.table.column_names == ["s", "o", "t", "y"]
    written = "Between {subject} and {object} in: {text}"
    corpus = read_corpus(file, text="t", label="y", subject="s", object_="o", template=written)
    assert corpus.items[1] == "Between cat and animal in: A cat is an animal."
    corpus = read_corpus(file, label="y", subject="s", object_="o")
    assert corpus.items[0] == "[E1] Paris [/E1] [E2] France [/E2]"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"subject": "s"}, "needs both"),
        ({"template": "{subject} {object}"}, "needs the columns subject and object"),
        ({"subject": "s", "object_": "o", "template": "{subject}"}, "lacks {object}"),
        ({"subject": "s", "object_": "oo"}, "Did you mean o"),
        ({"subject": "s", "object_": "o", "image": "t", "text": None}, "either"),
    ],
)
def test_relations_that_do_not_go_together(tmp_path: Path, columns: Any, said: str) -> None:
    with pytest.raises((DataError, SettingError), match=said):
        read_corpus(csv(tmp_path, RELATIONS), **{"text": "t", "label": "y", **columns})


def test_parts_of_a_column_named_split_are_found(tmp_path: Path) -> None:
    text = "t,y,split\na,x,train\nb,x,TEST \nc,z,dev\nd,z,train\n"
    assert read_corpus(csv(tmp_path, text), text="t", label="y").held.tolist() == [
        False,
        True,
        True,
        False,
    ]
    odd = text.replace("dev", "banana")
    assert not read_corpus(csv(tmp_path, odd), text="t", label="y").held.any()


def test_repeated_ids_are_named_and_kept(tmp_path: Path) -> None:
    corpus = read_corpus(csv(tmp_path), text="body", label="stars")
    assert len(corpus) == 6
    assert ("line 3", "column 'id' repeats '7' of line 2; rows go by their place") in {
        (p.where, p.what) for p in corpus.problems if p.used
    }


def test_very_long_texts_are_kept_and_named(tmp_path: Path) -> None:
    long = "x" * 200_000
    corpus = read_corpus(csv(tmp_path, f"t,y\n{long},1\nb,2\nc,2\nd,1\n"), text="t", label="y")
    assert corpus.items[0] == long
    assert [(p.where, p.what, p.used) for p in corpus.problems] == [
        ("line 2", "column 't' has 200,000 characters; 20,000 are read", True)
    ]


def test_broken_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"t,y\nfine,1\nbr\xffken,2\n")
    with pytest.raises(DataError, match=r"t\.csv, line 3, byte 3: not UTF-8"):
        read_corpus(tmp_path / "t.csv", text="t", label="y")


def test_numbers_that_measure_are_no_classes(tmp_path: Path) -> None:
    text = "t,y\n" + "".join(f"text {i},{i / 7}\n" for i in range(20))
    with pytest.raises(DataError, match="column 'y' has 20 different values among 20 labels"):
        read_corpus(csv(tmp_path, text), text="t", label="y")


def test_pictures_inside_a_table(tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    def png(colour: str) -> bytes:
        held = BytesIO()
        Image.new("RGB", (8, 8), colour).save(held, "PNG")
        return held.getvalue()

    rows = [{"p": png(c), "y": c} for c in ("red", "blue", "red")] + [{"p": b"odd", "y": "blue"}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    corpus = read_corpus(tmp_path / "a.parquet", image="p", label="y")
    assert corpus.usable.tolist() == [True, True, True, False]
    assert (corpus.folder, corpus.content) == (None, "")
    assert corpus.problems[0].where == "row 3"
    assert corpus.problems[0].what.startswith("column 'p': it cannot be read as an image")


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: Any) -> Any:
    found = pytest.importorskip("datasets")
    monkeypatch.setattr(found.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(found.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return found


def test_saved_data_set_with_parts_and_named_classes(datasets: Any, tmp_path: Path) -> None:
    kind = datasets.Features(
        {"t": datasets.Value("string"), "y": datasets.ClassLabel(names=["no", "yes"])}
    )

    def part(name: str, count: int) -> Any:
        columns = {"t": [f"{name} {i}" for i in range(count)], "y": [i % 2 for i in range(count)]}
        return datasets.Dataset.from_dict(columns, features=kind)

    whole = datasets.DatasetDict({"train": part("a", 6), "test": part("b", 4)})
    whole.save_to_disk(tmp_path / "both")
    corpus = read_corpus(f"hf:{tmp_path / 'both'}", text="t", label="y")
    assert len(corpus) == 10
    assert corpus.classes == ("no", "yes")
    assert corpus.held.tolist() == [False] * 6 + [True] * 4
    assert corpus.names[6] == "test row 0"
    assert corpus.table.column_names == ["t", "y", "split"]
    assert corpus.table["y"].to_pylist()[:2] == ["no", "yes"]


def test_saved_lists_of_named_classes(datasets: Any, tmp_path: Path) -> None:
    kind = datasets.Features(
        {
            "t": datasets.Value("string"),
            "y": datasets.Sequence(datasets.ClassLabel(names=["a", "b"])),
        }
    )
    columns = {"t": list("pqrs"), "y": [[0], [0, 1], [], [1]]}
    datasets.Dataset.from_dict(columns, features=kind).save_to_disk(tmp_path / "one")
    corpus = read_corpus(f"hf:{tmp_path / 'one'}", text="t", label="y")
    assert isinstance(corpus, MultiLabelCorpus)
    assert corpus.marks.tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]


def test_readers_of_datasets(datasets: Any, tmp_path: Path) -> None:
    text = "t,y\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(6))
    file = csv(tmp_path, text)
    assert len(read_corpus(f"hf:csv:{file}", text="t", label="y")) == 6
    folder = tmp_path / "parts"
    folder.mkdir()
    csv(folder, text, "train.csv")
    csv(folder, text, "test.csv")
    for name in (f"hf:csv:{folder}", f"hf:{folder}"):
        corpus = read_corpus(name, text="t", label="y")
        assert corpus.held.tolist() == [False] * 6 + [True] * 6
    with pytest.raises(DataError, match="hf:csv:PATH"):
        read_corpus("hf:csv", text="t", label="y")
    with pytest.raises(DataError, match="Did you mean t"):
        read_corpus(f"hf:csv:{file}", text="tt", label="y")


def test_pictures_of_a_saved_data_set(datasets: Any, tmp_path: Path) -> None:
    from PIL import Image

    kind = datasets.Features({"p": datasets.Image(), "y": datasets.Value("string")})
    drawn = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "red", "blue")]
    columns = {"p": drawn, "y": ["r", "b", "r", "b"]}
    datasets.Dataset.from_dict(columns, features=kind).save_to_disk(tmp_path / "one")
    corpus = read_corpus(f"hf:{tmp_path / 'one'}", image="p", label="y")
    assert corpus.kind == "images"
    assert corpus.usable.all()
