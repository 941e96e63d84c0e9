from pathlib import Path

import pytest

from counterpoint.data import builtin, load
from counterpoint.data.sources import Source
from counterpoint.errors import DataError, MissingExtraError, SettingError


def test_every_built_in_source_describes_itself():
    names = [source.name for source in builtin()]
    assert {"glyphs", "digits", "docstrings", "photos", "tweets"} <= set(names)
    for source in builtin():
        assert source.summary
        assert source.origin
        assert callable(source.load)


def test_built_in_by_name():
    pytest.importorskip("sklearn")
    assert load("digits").name == "digits"


def test_limit_thins_both_sides_and_every_class():
    pytest.importorskip("sklearn")
    data = load("digits", limit=100)
    assert (len(data.train), len(data.test)) == (80, 20)
    assert set(data.train.labels.bincount().tolist()) <= {7, 8, 9}
    assert len(load("digits", limit=5000).train) == 1438


@pytest.mark.parametrize("name", ["digit", "glyps", "nothing-like-it"])
def test_unknown_name(name):
    with pytest.raises(SettingError, match=r"digits|glyphs|Known: digits, docstrings"):
        load(name)


@pytest.mark.parametrize("path", ["missing/folder", "missing.csv", Path("missing")])
def test_missing_path(path):
    with pytest.raises(DataError, match="There is no folder or file"):
        load(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 0},
        {"limit": 1},
        {"test_share": 1.0},
        {"test_share": -0.5},
        {"text": "text"},
        {"label": "label"},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(SettingError):
        load("digits", **settings)


def test_size_is_not_for_texts(tmp_path):
    (tmp_path / "t.csv").write_text("text\na\nb\nc\n")
    with pytest.raises(SettingError, match="size is for images"):
        load(tmp_path / "t.csv", text="text", size=32)


def test_columns_are_not_for_folders(tmp_path):
    with pytest.raises(SettingError, match="folder"):
        load(tmp_path, text="text")


def test_a_source_without_its_packages(monkeypatch):
    absent = Source("absent", "nothing", "nowhere", "images", ("no_such_module",), "data")
    assert absent.missing == ("no_such_module",)
    monkeypatch.setattr("counterpoint.data.loading.builtin", lambda: (absent,))
    with pytest.raises(MissingExtraError, match=r"no_such_module.*counterpoint\[data\]"):
        load("absent")


def test_one_sample_is_too_few(tmp_path):
    (tmp_path / "t.csv").write_text("text\nonly one\n")
    with pytest.raises(DataError, match="at least 2"):
        load(tmp_path / "t.csv", text="text")


def test_table_and_folder_by_path(tmp_path):
    (tmp_path / "t.csv").write_text("text\na\nb\nc\n")
    assert load(str(tmp_path / "t.csv"), text="text").modality == "text"
    image = pytest.importorskip("PIL.Image")
    for i in range(4):
        image.new("L", (9, 9), i).save(tmp_path / f"{i}.png")
    assert load(tmp_path).modality == "images"


def test_hub_by_prefix(tmp_path):
    pytest.importorskip("datasets")
    with pytest.raises(DataError, match=r"hf:.* cannot be read"):
        load(f"hf:{tmp_path}/nothing", text="text")


def test_description_is_plain(tmp_path):
    (tmp_path / "t.csv").write_text('text\na\nb\nc\n""\n')
    described = load(tmp_path / "t.csv", text="text").describe()
    assert described["problems"] == [{"where": "line 5", "what": "empty text", "used": False}]
    assert described["train"] + described["test"] == 3
