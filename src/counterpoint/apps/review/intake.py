"""Brings findings into the store, once; rows are then read by number, whatever their count."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint.apps.review.labels import Label, names, written
from counterpoint.apps.review.store import FIRST_QUEUE, Store
from counterpoint.data.classes import number_classes
from counterpoint.data.findings import FOUND, SOURCE, Findings, check_findings, read_findings
from counterpoint.errors import DataError
from counterpoint.probes.inputs import Ints
from counterpoint.progress import OnProgress, Progress

HEAD = 4000
"""Characters of a text that are sent unless all of it is asked for."""

TITLE = 160
KINDS = {
    "neighbours": "neighbours and corrector disagree with the label",
    "missing": "labels are missing",
    "wrong": "labels are wrong",
    "exchanged": "some labels are missing, others wrong",
    "duplicate": "the same content carries other labels",
    "decisions": "your decisions on similar rows",
    "doubtful": "another label is likelier, but not by enough",
    "protected": "the class has too few rows to judge",
    "undecidable": "nothing can be said of the row",
    "agrees": "neighbours agree",
}
_BEGINNINGS = {
    "the same content": "duplicate",
    "undecidable": "undecidable",
    "protected": "protected",
    "doubtful": "doubtful",
}
_DIVIDED = "of the rows of this content carry it"
_LAYOUT = 2
"""Grows when the tables that findings are brought into change; decisions stay."""

_FIELDS = 8
_LONGEST_FIELD = 200
_STEP = 10_000


def open_review(folder: Path, on_progress: OnProgress | None = None) -> Store:
    """Opens the decisions of a folder of findings, and brings these in if they are new.

    Raises:
        DataError: there are no findings, or decisions of other data.
        SettingError: the folder cannot be written.
    """
    check_findings(folder)
    stamp = _stamp(folder)
    store = Store(folder)
    try:
        if store.meta("stamp") != stamp:
            _bring_in(store, read_findings(folder), stamp, on_progress)
    except BaseException:
        store.close()
        raise
    return store


def _stamp(folder: Path) -> str:
    """Tells one writing of the findings from another."""
    stats = [(folder / name).stat() for name in (FOUND, SOURCE)]
    return f"{_LAYOUT} " + " ".join(f"{stat.st_mtime_ns}:{stat.st_size}" for stat in stats)


def _bring_in(store: Store, findings: Findings, stamp: str, on_progress: OnProgress | None) -> None:
    labels = [written(label) for label in findings.found["label"].to_pylist()]
    contents = _contents(findings)
    digest = _digest(labels, contents)
    with store.writing() as database:
        if store.meta("stamp") == stamp:
            return
        decided = database.execute("SELECT 1 FROM decision LIMIT 1").fetchone()
        if decided and store.meta("digest") != digest:
            raise DataError(
                f"{store.file} holds decisions on other rows or labels than {store.file.parent} "
                f"now does. Move it away to begin anew, or run reannotate into another folder."
            )
        for table in ("class", "value", "member", "content", "queue", "item"):
            database.execute(f"DELETE FROM {table}")
        _fill(database, findings, labels, contents, on_progress)
        about = {
            "stamp": stamp,
            "digest": digest,
            "name": findings.name,
            "kind": findings.kind,
            "folder": str(findings.folder or ""),
            "several": "1" if findings.several else "",
        }
        database.executemany("REPLACE INTO meta VALUES (?, ?)", about.items())
        database.execute("ANALYZE")


def _fill(
    database: sqlite3.Connection,
    findings: Findings,
    labels: list[str],
    contents: list[str],
    on_progress: OnProgress | None,
) -> None:
    found = findings.found
    before, after = found["label"].to_pylist(), found["suggested_label"].to_pylist()
    given, better = _numbered(database, before, after)
    reasons = found["reason"].to_pylist()
    flagged = found["flagged"].to_numpy(zero_copy_only=False).astype(bool)
    credibility, confidence = found["credibility"].to_numpy(), found["confidence"].to_numpy()
    judged = (given >= 0) & np.array([not said.startswith("not judged") for said in reasons])
    order = np.lexsort((-confidence, credibility, ~flagged))
    order = order[judged[order]]
    items = (
        (
            FIRST_QUEUE,
            row,
            rank,
            int(given[row]),
            int(better[row]),
            float(credibility[row]),
            float(confidence[row]),
            kind_of(reasons[row], before[row], after[row]),
            None,
            None,
        )
        for rank, row in enumerate(order.tolist())
    )
    database.executemany(f"INSERT INTO item VALUES ({', '.join('?' * 10)})", items)
    suggestions = int((flagged & judged).sum())
    database.execute("INSERT INTO queue VALUES (?, NULL, 0, ?)", (FIRST_QUEUE, suggestions))
    near = found["neighbours"].to_pylist()
    rows = zip(range(len(contents)), contents, _fields(findings), near, reasons, strict=True)
    database.executemany(
        "INSERT INTO content VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        _counted((_content(*values) for values in rows), len(contents), on_progress),
    )


def _numbered(
    database: sqlite3.Connection, before: list[Label | None], after: list[Label | None]
) -> tuple[Ints, Ints]:
    """Keeps every class and every label or list of them; the numbers of the latter, -1 for none."""
    values = {written(label): names(label) for label in (*before, *after) if label is not None}
    values.pop("", None)
    classes, _ = number_classes(list({name for own in values.values() for name in own}))
    class_number = {name: at for at, name in enumerate(classes)}
    number = {text: at for at, text in enumerate(values)}
    members = ((number[text], class_number[name]) for text, own in values.items() for name in own)
    database.executemany("INSERT INTO class VALUES (?, ?)", enumerate(classes))
    database.executemany("INSERT INTO value VALUES (?, ?)", enumerate(values))
    database.executemany("INSERT INTO member VALUES (?, ?)", members)
    given, better = (
        np.array([number.get(written(label), -1) for label in labels]) for labels in (before, after)
    )
    return given, better


def kind_of(reason: str, given: Label, suggested: Label) -> str:
    """The key of `KINDS` that a finding belongs to.

    Args:
        reason: a sentence of `counterpoint.apps.reasons` or `counterpoint.apps.multi_label`.
        given, suggested: label, or labels.
    """
    for beginning, kind in _BEGINNINGS.items():
        if reason.startswith(beginning):
            return kind
    if given == suggested:
        return "agrees"
    if isinstance(given, str):
        return "neighbours"
    if _DIVIDED in reason:
        return "duplicate"
    added, taken = set(suggested) - set(given), set(given) - set(suggested)
    return "exchanged" if added and taken else "missing" if added else "wrong"


def _contents(findings: Findings) -> list[str]:
    if not findings.content:
        return [f"row {row}" for row in range(findings.table.num_rows)]
    values = findings.table[findings.content].to_pylist()
    return ["" if value is None else str(value) for value in values]


def _content(
    row: int, text: str, fields: str, near: list[int], reason: str
) -> tuple[int, str, int, str, str, str, str, str | None]:
    title = " ".join(text[: 2 * TITLE].split())[:TITLE]
    whole = text if len(text) > HEAD else None
    return row, title, len(text), text[:HEAD], fields, json.dumps(near), reason, whole


def _fields(findings: Findings) -> Iterator[str]:
    """The owner's other columns of each row, shortened, as JSON; without the true labels."""
    table = findings.table
    elsewhere = (findings.label, findings.content, findings.truth_column)
    names = [name for name in table.column_names if name not in elsewhere]
    columns = [table[name].to_pylist() for name in names[:_FIELDS]]
    for row in range(table.num_rows):
        values = {
            name: str(column[row])[:_LONGEST_FIELD]
            for name, column in zip(names, columns, strict=False)
            if column[row] is not None
        }
        yield json.dumps(values, ensure_ascii=False)


def _digest(labels: list[str], contents: list[str]) -> str:
    """What tells these rows and labels from any others."""
    digest = hashlib.blake2b(digest_size=16)
    for label, content in zip(labels, contents, strict=True):
        for part in (label, content):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def _counted(rows: Iterator[Any], total: int, on_progress: OnProgress | None) -> Iterator[Any]:
    for done, row in enumerate(rows, start=1):
        yield row
        if on_progress is not None and (done % _STEP == 0 or done == total):
            on_progress(Progress("bring the findings in", done, total))
