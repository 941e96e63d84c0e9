from __future__ import annotations

from pathlib import Path

import pytest

from counterpoint.errors import SettingError
from counterpoint.files import write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.txt"
    write_text(file, "old")
    write_text(file, "né")
    assert file.read_text(encoding="utf-8") == "né"
    assert [path.name for path in file.parent.iterdir()] == ["a.txt"]


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingError, match="Cannot write"):
        write_text(tmp_path / "file" / "a.txt", "text")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "b.txt", "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
