"""Pages of the queue, single rows and progress, each answered from an index."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Literal, get_args

from counterpoint.apps.review.intake import KINDS
from counterpoint.apps.review.store import Store
from counterpoint.errors import SettingError, unknown_name

Scope = Literal["suggestions", "all"]
Status = Literal["open", "decided", "skipped", "any"]
MOST = 200
NEAR_HEAD = 400
_STATUS = {
    "open": "i.action IS NULL",
    "decided": "i.action IN ('accept', 'keep', 'other')",
    "skipped": "i.action = 'skip'",
    "any": "1",
}
_NAMED = (
    "FROM item i JOIN value a ON a.id = i.label JOIN value b ON b.id = i.suggested "
    "JOIN content c ON c.row = i.row LEFT JOIN decision d "
    "ON d.reviewer = :reviewer AND d.row = i.row AND d.current = 1 WHERE i.queue = :queue"
)
"""Joins everything to items; only for a few of them."""

_HAVING = (
    "(SELECT m.value FROM member m JOIN class ON class.id = m.class WHERE class.name = :{side})"
)
_CARRYING = {
    False: "i.{side} = (SELECT id FROM value WHERE name = :{side})",
    True: f"((i.label IN {_HAVING}) + (i.suggested IN {_HAVING}) + (i.label = i.suggested) "
    f"IN (1, 3) AND i.{{side}} IN {_HAVING})",
}
"""Items that carry a class on one side, and on the other one only where both are the same."""

_LABELS = ("label", "suggested", "after")


@dataclass(frozen=True)
class Filter:
    """Which rows of the queue.

    Attributes:
        scope: suggestions alone, or all rows.
        given: class that a row carries, and that its suggestion, if there is one, takes away; None
            for any.
        suggested: class that the suggestion gives it, or that it carries where there is none; None
            for any.
        kind: a key of `KINDS`; None for any.
        least, most: bounds of the confidence.
    """

    scope: Scope = "suggestions"
    given: str | None = None
    suggested: str | None = None
    kind: str | None = None
    least: float = 0.0
    most: float = 1.0

    def __post_init__(self) -> None:
        if self.scope not in get_args(Scope):
            raise unknown_name("scope", self.scope, get_args(Scope))
        if self.kind is not None and self.kind not in KINDS:
            raise unknown_name("reason", self.kind, KINDS)
        if not 0 <= self.least <= self.most <= 1:
            raise SettingError(
                f"least and most must be in order and in [0, 1]; got {self.least}, {self.most}."
            )


def page(
    store: Store,
    reviewer: str,
    chosen: Filter,
    *,
    status: Status = "open",
    after: int = -1,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The next rows of a reviewer's queue, worst first.

    Args:
        store: of the review.
        reviewer: whose decisions and order.
        chosen: which rows.
        status: in which state.
        after: rank of the last row seen.
        limit: at most so many rows, up to 200.
    """
    if status not in _STATUS:
        raise unknown_name("status", status, _STATUS)
    where, values = _where(store, reviewer, chosen)
    rows = f"SELECT i.row FROM item i WHERE {where} AND i.rank > :after AND {_STATUS[status]}"
    query = (
        "SELECT i.row, i.rank, c.title, a.name AS label, b.name AS suggested, i.credibility, "
        f"i.confidence, i.kind, i.action, d.after {_NAMED} "
        f"AND i.row IN ({rows} ORDER BY i.rank LIMIT :limit) ORDER BY i.rank"
    )
    values |= {"after": after, "limit": min(limit, MOST)}
    with store.reading() as database:
        cursor = database.execute(query, values)
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor]
    return [{**one, **{name: store.read(one[name]) for name in _LABELS}} for one in found]


def progress(store: Store, reviewer: str, chosen: Filter) -> dict[str, int]:
    """How many of the chosen rows there are, and how many of them were decided how."""
    where, values = _where(store, reviewer, chosen)
    counted = {"total": 0, "accept": 0, "keep": 0, "other": 0, "skip": 0}
    query = f"SELECT i.action, COUNT(*) FROM item i WHERE {where} GROUP BY i.action"
    with store.reading() as database:
        for action, count in database.execute(query, values):
            counted["total"] += count
            if action is not None:
                counted[action] = count
    return counted


def row(store: Store, reviewer: str, number: int) -> dict[str, Any]:
    """All that a person needs to decide on a row; long texts cut, see `whole_text`.

    Raises:
        SettingError: there is no such row, or it carries no label.
    """
    values = {"queue": store.queue_of(reviewer), "row": number, "reviewer": reviewer}
    with store.reading() as database:
        found = database.execute(
            "SELECT i.rank, a.name, b.name, i.credibility, i.confidence, i.kind, "
            "COALESCE(i.note, c.reason), c.head, c.size, c.fields, c.neighbours "
            f"{_NAMED} AND i.row = :row",
            values,
        ).fetchone()
        if found is None:
            raise SettingError(f"There is no row {number} with a label to review.")
        names = ("rank", "label", "suggested", "credibility", "confidence", "kind", "reason")
        near = [_neighbour(database, values | {"row": one}) for one in json.loads(found[10])]
    shown = [
        {**one, "label": store.read(one["label"]), "decided": store.read(one["decided"])}
        for one in near
        if one is not None
    ]
    standing = store.standing(reviewer, number)
    return {
        "row": number,
        **dict(zip(names, found[:7], strict=True)),
        "label": store.read(found[1]),
        "suggested": store.read(found[2]),
        "text": found[7],
        "size": found[8],
        "fields": json.loads(found[9]),
        "neighbours": shown,
        "decision": standing and vars(standing),
    }


def whole_text(store: Store, number: int) -> str:
    """The text of a row, however long.

    Raises:
        SettingError: there is no such row.
    """
    with store.reading() as database:
        query = "SELECT COALESCE(whole, head) FROM content WHERE row = ?"
        found = database.execute(query, (number,)).fetchone()
    if found is None:
        raise SettingError(f"There is no row {number}.")
    return str(found[0])


def classes(store: Store, reviewer: str) -> list[dict[str, Any]]:
    """Every class by name, with how many suggestions take it away and give it."""
    with store.reading() as database:
        pairs = database.execute(
            "SELECT label, suggested, COUNT(*) FROM item WHERE queue = :queue AND rank < "
            "(SELECT suggestions FROM queue WHERE id = :queue) GROUP BY label, suggested",
            {"queue": store.queue_of(reviewer)},
        ).fetchall()
        names = database.execute("SELECT id, name FROM class ORDER BY id").fetchall()
        members = database.execute("SELECT value, class FROM member").fetchall()
    carried: dict[int, set[int]] = defaultdict(set)
    for value, one in members:
        carried[value].add(one)
    given: Counter[int] = Counter()
    suggested: Counter[int] = Counter()
    for before, after, count in pairs:
        for counts, classes in (
            (given, carried[before] - carried[after]),
            (suggested, carried[after] - carried[before]),
        ):
            for one in classes:
                counts[one] += count
    return [{"name": name, "given": given[id], "suggested": suggested[id]} for id, name in names]


def kinds(store: Store, reviewer: str) -> dict[str, dict[str, Any]]:
    """The reasons that occur in a reviewer's queue, in words and counted."""
    with store.reading() as database:
        found = database.execute(
            "SELECT kind, COUNT(*) FROM item WHERE queue = ? GROUP BY kind",
            (store.queue_of(reviewer),),
        )
        counted = dict(found.fetchall())
    return {
        kind: {"words": words, "count": counted[kind]}
        for kind, words in KINDS.items()
        if kind in counted
    }


def _neighbour(database: Any, values: dict[str, Any]) -> dict[str, Any] | None:
    found = database.execute(
        f"SELECT a.name, d.after, SUBSTR(c.head, 1, {NEAR_HEAD}), c.title {_NAMED} "
        "AND i.row = :row",
        values,
    ).fetchone()
    if found is None:
        return None
    label, decided, text, title = found
    return {
        "row": values["row"],
        "label": label,
        "decided": decided,
        "text": text,
        "title": title,
    }


def _where(store: Store, reviewer: str, chosen: Filter) -> tuple[str, dict[str, Any]]:
    """Conditions on an item ``i``, and the values they name."""
    queue = store.queue_of(reviewer)
    values: dict[str, Any] = {"queue": queue, "reviewer": reviewer}
    where = ["i.queue = :queue"]
    if chosen.scope == "suggestions":
        where.append("i.rank < (SELECT suggestions FROM queue WHERE id = :queue)")
    for side, name in (("label", chosen.given), ("suggested", chosen.suggested)):
        if name is not None:
            where.append(_CARRYING[store.several].format(side=side))
            values[side] = name
    if chosen.kind is not None:
        where.append("i.kind = :kind")
        values["kind"] = chosen.kind
    if chosen.least > 0 or chosen.most < 1:
        where.append("i.confidence BETWEEN :least AND :most")
        values |= {"least": chosen.least, "most": chosen.most}
    return " AND ".join(where), values
