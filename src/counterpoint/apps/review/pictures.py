"""Shows a row's picture: decoded and written anew, so that no file is passed on as it is."""

from __future__ import annotations

from pathlib import Path

from counterpoint.apps.review.queries import whole_text
from counterpoint.apps.review.store import Store
from counterpoint.apps.thumbnails import encoded
from counterpoint.data.findings import read_pictures
from counterpoint.data.pictures import read_whole_picture
from counterpoint.errors import DataError

LARGEST = 768


class Pictures:
    """The pictures of a corpus, by row.

    Only the owner's column says where a file is. What Pillow cannot decode (SVG, text, anything
    else that the column may name) is not shown.

    Args:
        store: of the review.
        folder: of the findings.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._root = store.meta("folder")
        self._kept = [] if self._root else read_pictures(folder)

    def __call__(self, row: int) -> tuple[str, bytes]:
        """MIME type and content.

        Raises:
            DataError: there is none, or it cannot be decoded.
            SettingError: there is no such row.
        """
        if self._root:
            file = Path(self._root) / whole_text(self._store, row)
            if not file.is_file():
                raise DataError(f"There is no file {file}.")
            return encoded(read_whole_picture(file, 2 * LARGEST).numpy(), LARGEST)
        kept = self._kept[row] if 0 <= row < len(self._kept) else None
        if kept is None:
            raise DataError(f"Row {row} has no picture.")
        return "image/png", kept
