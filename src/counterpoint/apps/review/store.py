"""Decisions in SQLite: each is on the disk before it is confirmed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from counterpoint.apps.review.labels import Label, names, read, written
from counterpoint.errors import DataError, SettingError, unknown_name

Action = Literal["accept", "keep", "other", "skip"]
FILE = "review.sqlite"
FIRST_QUEUE = 0
"""Order and suggestions as reannotate found them; every reviewer goes through a copy."""

PATIENCE = 60
_LONGEST_NAME = 80

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS class (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS value (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS member (
    value INTEGER, class INTEGER, PRIMARY KEY (value, class)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS member_class ON member (class, value);
CREATE TABLE IF NOT EXISTS content (
    row INTEGER PRIMARY KEY, title TEXT, size INTEGER, head TEXT, fields TEXT, neighbours TEXT,
    reason TEXT, whole TEXT
);
CREATE TABLE IF NOT EXISTS queue (
    id INTEGER PRIMARY KEY, reviewer TEXT UNIQUE, learnt INTEGER, suggestions INTEGER
);
CREATE TABLE IF NOT EXISTS item (
    queue INTEGER, row INTEGER, rank INTEGER, label INTEGER, suggested INTEGER, credibility REAL,
    confidence REAL, kind TEXT, note TEXT, action TEXT, PRIMARY KEY (queue, row)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_rank ON item (queue, rank, confidence, action);
CREATE INDEX IF NOT EXISTS item_action ON item (queue, action, rank, confidence);
CREATE INDEX IF NOT EXISTS item_label ON item (queue, label, rank, confidence, action);
CREATE INDEX IF NOT EXISTS item_suggested ON item (queue, suggested, rank, confidence, action);
CREATE INDEX IF NOT EXISTS item_pair ON item (queue, label, suggested, rank);
CREATE INDEX IF NOT EXISTS item_kind ON item (queue, kind, rank, confidence, action);
CREATE TABLE IF NOT EXISTS decision (
    id INTEGER PRIMARY KEY AUTOINCREMENT, reviewer TEXT NOT NULL, row INTEGER NOT NULL,
    action TEXT NOT NULL, before TEXT NOT NULL, suggested TEXT NOT NULL, after TEXT,
    made TEXT NOT NULL, current INTEGER NOT NULL, undone INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS decision_standing ON decision (reviewer, row)
    WHERE current = 1;
CREATE INDEX IF NOT EXISTS decision_last ON decision (reviewer, id) WHERE undone = 0;
"""


@dataclass(frozen=True)
class Decision:
    """What one person said of one row.

    Attributes:
        id: grows with every decision.
        row: number of the row.
        action: ``accept`` the suggestion, ``keep`` the given label, take an ``other``, ``skip``.
        after: the label or labels decided for; None where skipped.
        made: when, ISO 8601 in UTC.
    """

    id: int
    row: int
    action: Action
    after: Label | None
    made: str


class StaleError(SettingError):
    """The row was decided elsewhere since it was shown."""

    def __init__(self, standing: Decision | None) -> None:
        super().__init__("This row was decided in another window meanwhile.")
        self.standing = standing


class Store:
    """The decisions of a folder of findings.

    Write-ahead log, synchronous: a decision that was confirmed outlives a kill of the process.
    Several processes may have the same folder open. Safe to use from several threads.

    Args:
        folder: where ``review.sqlite`` is, or is to be.

    Raises:
        SettingError: it cannot be written.
        DataError: the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self._lock = threading.RLock()
        try:
            self._open = sqlite3.connect(
                self.file, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._open.execute("PRAGMA journal_mode = WAL")
            self._open.execute("PRAGMA synchronous = FULL")
            self._open.execute("PRAGMA mmap_size = 1073741824")
            with self.writing() as database:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
        except sqlite3.OperationalError as error:
            raise SettingError(
                f"Cannot write {self.file}: {error}. Decisions are kept there: make the folder "
                "writable, free some space, or copy the folder elsewhere and review the copy."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.file} is damaged or no database: {error}. Move it away to begin anew; "
                "`sqlite3 review.sqlite .recover` saves what can be saved."
            ) from error

    def close(self) -> None:
        """Closes the file; what is in the log stays there until the next opening."""
        with self._lock:
            self._open.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time."""
        with self._lock:
            yield self._open

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing, and nobody else's between."""
        with self._lock:
            self._open.execute("BEGIN IMMEDIATE")
            try:
                yield self._open
                self._open.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._open.execute("ROLLBACK")
                raise

    def meta(self, key: str) -> str | None:
        """A value that was kept under a name."""
        with self.reading() as database:
            found = database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return found and str(found[0])

    @property
    def several(self) -> bool:
        """Whether a row carries any number of labels; otherwise it carries one."""
        return bool(self.meta("several"))

    def queue_of(self, reviewer: str) -> int:
        """The queue a reviewer goes through; a copy of the first one is made when they begin."""
        with self.reading() as database:
            query = "SELECT id FROM queue WHERE reviewer = ?"
            found = database.execute(query, (reviewer,)).fetchone()
        return int(found[0]) if found else self._begun(reviewer)

    def _begun(self, reviewer: str) -> int:
        with self.writing() as database:
            database.execute(
                "INSERT OR IGNORE INTO queue (reviewer, learnt, suggestions) "
                "SELECT ?, 0, suggestions FROM queue WHERE id = ?",
                (reviewer, FIRST_QUEUE),
            )
            query = "SELECT id FROM queue WHERE reviewer = ?"
            queue = int(database.execute(query, (reviewer,)).fetchone()[0])
            database.execute(
                "INSERT OR IGNORE INTO item SELECT ?, i.row, rank, label, i.suggested, "
                "credibility, confidence, kind, note, d.action FROM item i LEFT JOIN decision d "
                "ON d.reviewer = ? AND d.row = i.row AND d.current = 1 WHERE queue = ?",
                (queue, reviewer, FIRST_QUEUE),
            )
        return queue

    def standing(self, reviewer: str, row: int) -> Decision | None:
        """What a reviewer last said of a row."""
        with self.reading() as database:
            found = database.execute(
                "SELECT id, row, action, after, made FROM decision "
                "WHERE reviewer = ? AND row = ? AND current = 1",
                (reviewer, row),
            ).fetchone()
        if found is None:
            return None
        id, row, action, after, made = found
        return Decision(id, row, action, self.read(after), made)

    def read(self, text: str | None) -> Label | None:
        """A label of a row out of the text it is kept as."""
        return None if text is None else read(text, self.several)

    def decide(
        self,
        reviewer: str,
        row: int,
        action: Action,
        after: Label | None = None,
        *,
        seen: int | None = None,
    ) -> Decision:
        """Keeps a decision; the former one on the same row stays in the history.

        Args:
            reviewer: who.
            row: which row.
            action: what.
            after: the label, or list of labels, decided for; needed by ``accept`` and ``other``.
            seen: id of the decision the reviewer saw standing; None for none.

        Raises:
            SettingError: no such action, row or class, or a list where a row carries one label.
            StaleError: another decision stands by now.
        """
        if action not in get_args(Action):
            raise unknown_name("action", str(action), get_args(Action))
        queue = self.queue_of(reviewer)
        with self.writing() as database:
            found = database.execute(
                "SELECT a.name, b.name FROM item JOIN value a ON a.id = label "
                "JOIN value b ON b.id = suggested WHERE queue = ? AND row = ?",
                (queue, row),
            ).fetchone()
            if found is None:
                raise SettingError(f"There is no row {row} with a label to review.")
            before, suggested = found
            settled = {"keep": before, "skip": None}
            label = settled[action] if action in settled else self._written(after)
            standing = self.standing(reviewer, row)
            if (standing and standing.id) != seen:
                raise StaleError(standing)
            made = datetime.now(UTC).isoformat(timespec="milliseconds")
            database.execute(
                "UPDATE decision SET current = 0 WHERE reviewer = ? AND row = ? AND current = 1",
                (reviewer, row),
            )
            id = database.execute(
                "INSERT INTO decision (reviewer, row, action, before, suggested, after, made, "
                "current) VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
                (reviewer, row, action, before, suggested, label, made),
            ).lastrowid
            _mark(database, queue, row, action)
        return Decision(int(id or 0), row, action, self.read(label), made)

    def _written(self, after: Label | None) -> str:
        """A label as it is kept: several of them in the order of the classes."""
        if after is not None and isinstance(after, list) != self.several:
            expected = "a list of labels" if self.several else "one label"
            raise SettingError(f"A row carries {expected} here; got {after!r}.")
        asked = [after] if after is None else names(after)
        with self.reading() as database:
            classes = database.execute("SELECT name FROM class ORDER BY id").fetchall()
        known = [name for (name,) in classes if name in asked]
        strange = [name for name in asked if name not in known]
        if strange:
            raise SettingError(f"There is no class {strange[0]!r}.")
        return written(known if self.several else known[0])

    def undo(self, reviewer: str) -> int | None:
        """Takes a reviewer's last decision back, so that the one before stands again.

        Returns:
            The row; None where there is nothing to undo.
        """
        queue = self.queue_of(reviewer)
        with self.writing() as database:
            last = database.execute(
                "SELECT id, row FROM decision WHERE reviewer = ? AND undone = 0 "
                "ORDER BY id DESC LIMIT 1",
                (reviewer,),
            ).fetchone()
            if last is None:
                return None
            id, row = last
            query = "UPDATE decision SET undone = 1, current = 0 WHERE id = ?"
            database.execute(query, (id,))
            database.execute(
                "UPDATE decision SET current = 1 WHERE id = (SELECT MAX(id) FROM decision "
                "WHERE reviewer = ? AND row = ? AND undone = 0)",
                (reviewer, row),
            )
            standing = self.standing(reviewer, row)
            _mark(database, queue, row, standing.action if standing else None)
        return int(row)

    def decisions(self, reviewer: str | None = None) -> list[dict[str, Any]]:
        """The decisions that stand, in the order they were made, of one reviewer or of all."""
        columns = ("row", "reviewer", "action", "before", "suggested", "after", "made")
        with self.reading() as database:
            found = database.execute(
                f"SELECT {', '.join(columns)} FROM decision WHERE current = 1 "
                "AND (?1 IS NULL OR reviewer = ?1) ORDER BY id",
                (reviewer,),
            ).fetchall()
        said = [dict(zip(columns, values, strict=True)) for values in found]
        labels = ("before", "suggested", "after")
        return [{**one, **{name: self.read(one[name]) for name in labels}} for one in said]


def _mark(database: sqlite3.Connection, queue: int, row: int, action: str | None) -> None:
    query = "UPDATE item SET action = ? WHERE queue = ? AND row = ?"
    database.execute(query, (action, queue, row))


def check_reviewer(name: str) -> str:
    """A reviewer's name, without blanks around it.

    Raises:
        SettingError: it is empty, very long, or holds line breaks and the like.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise SettingError(
            f"A reviewer's name has 1 to {_LONGEST_NAME} printable characters; got {name!r}."
        )
    return name
