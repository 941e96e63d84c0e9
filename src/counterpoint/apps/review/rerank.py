"""Orders what is left by what the decisions so far have taught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from counterpoint.apps.review.store import FIRST_QUEUE, Store
from counterpoint.curation.anchors import STRENGTH, Anchored, anchored
from counterpoint.data.findings import read_embeddings
from counterpoint.errors import SettingError

LIKELY = 0.5
_NOTE = "your decisions on similar rows say “{}”; together with what was found {:.0%} are so"


def rerank(store: Store, folder: Path, reviewer: str) -> dict[str, int]:
    """Takes a reviewer's decisions, kept and changed labels alike, as clean anchors.

    Suggestions are ordered anew and may name another label; rows that were none become some where
    their label is now probably wrong. No suggestion is taken away: what looks right by now comes
    last. Decisions stay as they are.

    Args:
        store: of the review.
        folder: of the findings, whose embeddings are used.
        reviewer: whose decisions, and whose queue.

    Returns:
        ``anchors``, the decisions learnt from; ``added``, new suggestions; ``changed``, suggestions
        with another label.

    Raises:
        SettingError: nothing is decided yet, or rows carry several labels.
        DataError: there are no embeddings.
    """
    if store.several:
        raise SettingError("A re-rank needs one label a row; go on in the order found.")
    queue = store.queue_of(reviewer)
    z = read_embeddings(folder)
    with store.reading() as database:
        names = dict(database.execute("SELECT name, id FROM value").fetchall())
        decided = database.execute(
            "SELECT row, after FROM decision WHERE reviewer = ? AND current = 1 "
            "AND after IS NOT NULL ORDER BY row",
            (reviewer,),
        ).fetchall()
        found = database.execute(
            "SELECT i.row, i.rank < q.suggestions, label, suggested, credibility, confidence, kind "
            "FROM item i JOIN queue q ON q.id = i.queue WHERE i.queue = ? ORDER BY i.row",
            (FIRST_QUEUE,),
        ).fetchall()
    if not decided:
        raise SettingError("There are no decisions to learn from: accept or keep some first.")
    columns = [np.array(column) for column in zip(*found, strict=True)]
    rows, flagged, given, suggested, credibility, confidence = columns[:6]
    flagged = flagged.astype(bool)
    anchors = np.searchsorted(rows, [row for row, _ in decided])
    truth = np.array([names[after] for _, after in decided])
    judged = anchored(
        z[rows], given, suggested, credibility, confidence, anchors, truth, len(names)
    )
    open_ = np.ones(len(rows), dtype=bool)
    open_[anchors] = False
    added = open_ & ~flagged & (judged.wrong > LIKELY) & (judged.votes > STRENGTH)
    changed = open_ & flagged & (judged.other != suggested)
    new = _items(judged, open_, flagged | added, added | changed, found, names)
    _replace(store, queue, reviewer, new, int((flagged | added).sum()), len(decided))
    return {"anchors": len(decided), "added": int(added.sum()), "changed": int(changed.sum())}


def _items(
    judged: Anchored,
    open_: Any,
    flagged: Any,
    taught: Any,
    found: list[tuple[Any, ...]],
    names: dict[str, int],
) -> list[tuple[Any, ...]]:
    """Row, rank, label, suggested label, credibility, confidence, kind and note of each row."""
    row, _, given, suggested, credibility, confidence, kind = map(
        np.array, zip(*found, strict=True)
    )
    credibility = np.where(open_, 1 - judged.wrong, credibility)
    better = np.where(open_ & flagged, judged.other, suggested)
    sure = np.where(flagged, judged.wrong * judged.share, 1 - judged.wrong)
    confidence = np.where(open_, sure, confidence)
    order = np.lexsort((-confidence, credibility, ~flagged))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    called = {id: name for name, id in names.items()}
    note = [
        _NOTE.format(called[label], p) if new else None
        for new, label, p in zip(taught.tolist(), better.tolist(), confidence.tolist(), strict=True)
    ]
    kind = np.where(taught, "decisions", kind)
    columns = (row, rank, given, better, credibility, confidence, kind)
    return list(zip(*(column.tolist() for column in columns), note, strict=True))


def _replace(
    store: Store,
    queue: int,
    reviewer: str,
    items: list[tuple[Any, ...]],
    suggestions: int,
    learnt: int,
) -> None:
    with store.writing() as database:
        database.execute("DELETE FROM item WHERE queue = ?", (queue,))
        database.executemany(
            f"INSERT INTO item VALUES ({queue}, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", items
        )
        database.execute(
            "UPDATE item SET action = d.action FROM decision d WHERE queue = ? "
            "AND d.reviewer = ? AND d.row = item.row AND d.current = 1",
            (queue, reviewer),
        )
        query = "UPDATE queue SET suggestions = ?, learnt = ? WHERE id = ?"
        database.execute(query, (suggestions, learnt, queue))
