import json

import pytest

from counterpoint.data import tables
from counterpoint.errors import DataError

RECORDS = [{"text": f"some text {i}", "label": "ab"[i % 2], "other": i} for i in range(20)]


def write(file, records):
    if file.suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet").write_table(
            pytest.importorskip("pyarrow").Table.from_pylist(records), file
        )
    elif file.suffix in (".jsonl", ".ndjson"):
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        separator = "\t" if file.suffix == ".tsv" else ","
        lines = [list(records[0]), *(list(record.values()) for record in records)]
        file.write_text("".join(separator.join(map(str, line)) + "\n" for line in lines))
    return file


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_every_kind_gives_the_same(tmp_path, ending):
    data = tables.load(write(tmp_path / f"t{ending}", RECORDS), "text", "label")
    assert data.modality == "text"
    assert data.classes == ("a", "b")
    assert (len(data.train), len(data.test)) == (16, 4)
    assert data.test.labels.bincount().tolist() == [2, 2]
    for split in (data.train, data.test):
        for text, label in zip(split.items, split.labels.tolist(), strict=True):
            assert label == int(text.split()[-1]) % 2
    assert data.problems == ()


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_without_label(tmp_path, ending):
    data = tables.load(write(tmp_path / f"t{ending}", RECORDS), "text", None)
    assert data.classes == ()
    assert data.train.labels is None
    assert len(data.test) == 4


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(("text", "label"), [("txt", None), ("text", "lable")])
def test_missing_column_names_the_nearest(tmp_path, ending, text, label):
    file = write(tmp_path / f"t{ending}", RECORDS)
    with pytest.raises(DataError, match=r"no column .* Did you mean (text|label)\?.*Columns: text"):
        tables.load(file, text, label)


def test_text_column_must_be_named(tmp_path):
    with pytest.raises(DataError, match=r"which column holds the texts.*Columns: text, label"):
        tables.load(write(tmp_path / "t.csv", RECORDS), None, None)


def test_empty_texts_are_named_and_left_out(tmp_path):
    records = [*RECORDS, {"text": "  ", "label": "a"}, {"text": None, "label": "b"}]
    data = tables.load(write(tmp_path / "t.jsonl", records), "text", "label")
    assert [(p.where, p.what, p.used) for p in data.problems] == [
        ("line 21", "empty text", False),
        ("line 22", "empty text", False),
    ]
    assert len(data.train) + len(data.test) == 20


def test_missing_labels_are_learnt_from_and_named(tmp_path):
    records = [
        {**record, "label": None if i < 7 else "ab"[i % 2]} for i, record in enumerate(RECORDS)
    ]
    data = tables.load(write(tmp_path / "t.jsonl", records), "text", "label")
    (problem,) = data.problems
    assert problem.used
    assert problem.where == "line 1, line 2, line 3, line 4, line 5, ..."
    assert "no label in 7 of 20 rows" in problem.what
    assert int((data.train.labels == -1).sum()) == 7
    assert -1 not in data.test.labels


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([1, 2, 10], ("1", "2", "10")),
        ([1.0, 2.5], ("1", "2.5")),
        ([True, False], ("False", "True")),
    ],
)
def test_labels_of_any_type(tmp_path, values, classes):
    records = [{"text": f"t {i}", "label": values[i % len(values)]} for i in range(30)]
    for ending in (".jsonl", ".parquet"):
        data = tables.load(write(tmp_path / f"t{ending}", records), "text", "label")
        assert data.classes == classes


def test_rare_classes(tmp_path):
    records = [*RECORDS, {"text": "one", "label": "once"}, {"text": "x", "label": "twice"}]
    records.append({"text": "y", "label": "twice"})
    data = tables.load(write(tmp_path / "t.jsonl", records), "text", "label")
    once, twice = data.classes.index("once"), data.classes.index("twice")
    assert once in data.train.labels
    assert once not in data.test.labels
    assert twice in data.train.labels
    assert twice in data.test.labels


def test_equal_texts_never_straddle_the_split(tmp_path):
    records = [{"text": f"text  {i % 10}" if i < 20 else f"text {i % 10}"} for i in range(40)]
    data = tables.load(write(tmp_path / "t.jsonl", records), "text", None, test_share=0.3)
    learnt, held = ({" ".join(t.split()) for t in split.items} for split in (data.train, data.test))
    assert not learnt & held
    assert len(data.test) == 12


def test_a_column_of_ids_is_no_class(tmp_path):
    records = [{"text": f"text {i}", "id": i} for i in range(50)]
    with pytest.raises(DataError, match=r"'id' has another value in each of 50 rows"):
        tables.load(write(tmp_path / "t.jsonl", records), "text", "id")


def test_an_empty_label_column(tmp_path):
    with pytest.raises(DataError, match=r"'label' is empty"):
        tables.load(write(tmp_path / "t.jsonl", [{"text": "a", "label": ""}]), "text", "label")


@pytest.mark.parametrize("content", ["", "text\n", "text\n  \n\n"])
def test_table_without_texts(tmp_path, content):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=r"t\.csv has no (row with text|column 'text')"):
        tables.load(tmp_path / "t.csv", "text", None)


def test_quotes_line_breaks_and_marks_at_the_start(tmp_path):
    (tmp_path / "t.csv").write_text('\ufefftext,label\n"a, ""b""\nc",x\nd,y\n', encoding="utf-8")
    data = tables.load(tmp_path / "t.csv", "text", "label", test_share=0)
    assert list(data.train.items) == ['a, "b"\nc', "d"]
    assert data.train.names == ["line 3", "line 4"]


def test_semicolons(tmp_path):
    (tmp_path / "t.csv").write_text("text;label\na, b;x\nc;y\n")
    assert list(tables.load(tmp_path / "t.csv", "text", "label", test_share=0).train.items) == [
        "a, b",
        "c",
    ]


def test_csv_rows_of_another_length_are_named(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\na,x\nb\nc,y,z\n\nd,y\n")
    data = tables.load(tmp_path / "t.csv", "text", "label", test_share=0)
    assert list(data.train.items) == ["a", "d"]
    assert [p.where for p in data.problems] == ["line 3", "line 4"]
    assert "3 fields where the header has 2" in data.problems[1].what


def test_csv_with_a_quote_that_never_ends(tmp_path):
    (tmp_path / "t.csv").write_text('text,label\n"a,x\nb,y\n')
    with pytest.raises(DataError, match=r"t\.csv, line 3: .*quotes"):
        tables.load(tmp_path / "t.csv", "text", "label")


def test_csv_with_a_column_twice(tmp_path):
    (tmp_path / "t.csv").write_text("text,text\na,b\n")
    with pytest.raises(DataError, match="2 columns named 'text'"):
        tables.load(tmp_path / "t.csv", "text", None)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_other_encoding(tmp_path, ending):
    lines = ["text", "plain", "caf\xe9"]
    if ending == ".jsonl":
        lines = ['{"text": "plain"}', "{}", '{"text": "caf\xe9"}']
    (tmp_path / f"t{ending}").write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(DataError, match=r"line 3, byte \d+: not UTF-8"):
        tables.load(tmp_path / f"t{ending}", "text", None)


def test_json_lines_that_are_none_are_named(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n{"text": \n\n[1]\n{"text": 5}\n')
    data = tables.load(tmp_path / "t.jsonl", "text", None, test_share=0)
    assert list(data.train.items) == ["a", "5"]
    assert [p.where for p in data.problems] == ["line 2", "line 4"]


def test_damaged_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet"):
        tables.load(tmp_path / "t.parquet", "text", None)


def test_unknown_ending(tmp_path):
    (tmp_path / "t.xlsx").write_text("")
    with pytest.raises(DataError, match=r"\.xlsx: tables end in \.csv"):
        tables.load(tmp_path / "t.xlsx", "text", None)


def test_split_follows_the_seed(tmp_path):
    file = write(tmp_path / "t.jsonl", RECORDS)
    one, again, other = (tables.load(file, "text", "label", seed).test.names for seed in (0, 0, 1))
    assert one == again
    assert one != other
