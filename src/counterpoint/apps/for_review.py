"""The files that a review reads besides the findings: the corpus, its embeddings, its pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.apps.thumbnails import encoded
from counterpoint.curation.credibility import centred
from counterpoint.data.corpus import Rows
from counterpoint.data.findings import EMBEDDINGS, PICTURES, SOURCE, source_table
from counterpoint.errors import require
from counterpoint.probes.inputs import Ints


def review_files(corpus: Rows, rows: Ints, z: NDArray[Any]) -> dict[str, Callable[[Any], None]]:
    """What writes each file, by its name.

    Args:
        corpus: N rows.
        rows: positions of the M that were judged.
        z: their embeddings ``(M, D)``.
    """
    arrow = require("pyarrow", "data")
    parquet = require("pyarrow.parquet", "data")
    files: dict[str, Callable[[Any], None]] = {
        SOURCE: lambda file: parquet.write_table(source_table(corpus), file),
        EMBEDDINGS: lambda file: np.save(file, _in_place(z, rows, len(corpus))),
    }
    if corpus.kind == "images" and corpus.folder is None:
        items = [None if item is None else encoded(item)[1] for item in corpus.items]
        pictures = arrow.table({"picture": arrow.array(items, arrow.binary())})
        files[PICTURES] = lambda file: parquet.write_table(pictures, file)
    return files


def _in_place(z: NDArray[Any], rows: Ints, count: int) -> NDArray[np.float16]:
    """Centred rows as they were compared, in half precision; NaN where nothing was judged."""
    placed = np.full((count, z.shape[1]), np.nan, dtype=np.float16)
    placed[rows] = centred(z)
    return placed
