from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from counterpoint.report import page


def test_embedded_json_cannot_leave_its_script() -> None:
    value = {"a": "</script><!--", "b": "x & y > z", "c": "\u2028", "d": [1, None]}
    text = page.embed_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_embedded_json_knows_no_nan() -> None:
    assert json.loads(page.embed_json({"a": [math.nan, math.inf, 1.5]})) == {"a": [None, None, 1.5]}


def test_writes_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    page.write(target, "first")
    page.write(target, "second ü")
    assert target.read_text(encoding="utf-8") == "second ü"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_write_keeps_the_old_page(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    page.write(target, "old")
    with pytest.raises(UnicodeEncodeError):
        page.write(target, "\ud800")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
