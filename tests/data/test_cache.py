import pytest

from counterpoint.data.cache import cached


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def never() -> str:
    raise AssertionError("made again")


def test_made_once_for_a_key(folder):
    assert cached("thing", "v1", lambda: "é") == "é"
    assert cached("thing", "v1", never) == "é"
    assert cached("thing", "v2", lambda: "new") == "new"
    assert len(list(folder.iterdir())) == 2


def test_nothing_is_left_when_making_fails(folder):
    with pytest.raises(AssertionError):
        cached("thing", "v1", never)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "file" / "below"))
    assert cached("thing", "v1", lambda: "made") == "made"
