"""What a person needs to see of a row."""

from __future__ import annotations

from counterpoint.apps.thumbnails import thumbnail
from counterpoint.data.corpus import Rows

LONGEST_TEXT = 400


def shown(corpus: Rows, row: int) -> dict[str, str]:
    """Its name, and the beginning of its text or a small picture."""
    item = corpus.items[row]
    seen = {"name": str(corpus.names[row])}
    if isinstance(item, str):
        seen["text"] = item[:LONGEST_TEXT]
    elif corpus.kind == "images":
        seen["picture"] = thumbnail(item)
    return seen
