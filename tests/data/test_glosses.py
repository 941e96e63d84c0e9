from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterpoint.data import glosses
from counterpoint.errors import DataError

installed = any((Path(folder) / glosses.FILE).is_file() for folder in glosses.FOLDERS)


@pytest.mark.skipif(not installed, reason="wordnet-base is not installed")
def test_definitions_and_topics() -> None:
    data = glosses.load(seed=1)
    assert len(data.train) + len(data.test) == 12_000
    assert len(data.classes) == 24
    texts = [*data.train.items, *data.test.items]
    assert len(set(texts)) == 12_000
    assert not any('; "' in text for text in texts)


def test_lines_of_the_lexicon(tmp_path: Path, monkeypatch: Any) -> None:
    lines = [
        "  1 licence",
        '00001740 05 n 01 dog 0 000 | a pet; barks; "he has a dog"  ',
        "00001741 03 n 01 entity 0 000 | a thing  ",
        "00001742 20 n 02 oak_tree 0 oak 0 000 | a tree  ",
    ]
    (tmp_path / glosses.FILE).write_text("\n".join(lines))
    rows = list(glosses._definitions(tmp_path / glosses.FILE))
    assert [(row.name, row.text, row.label) for row in rows] == [
        ("dog (00001740)", "a pet; barks", "animal"),
        ("oak tree (00001742)", "a tree", "plant"),
    ]
    (tmp_path / glosses.FILE).write_text("nonsense")
    with pytest.raises(DataError, match="line 1"):
        list(glosses._definitions(tmp_path / glosses.FILE))


def test_says_how_to_install(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(glosses, "FOLDERS", (str(tmp_path),))
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    with pytest.raises(DataError, match="apt-get install wordnet-base"):
        glosses.load()
