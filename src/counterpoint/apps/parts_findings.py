"""What was found of a corpus in parts, written part by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from counterpoint.apps.findings import worst_first
from counterpoint.apps.parts_contents import ByRow
from counterpoint.apps.reannotate import COLUMNS, SHOWN_NEIGHBOURS
from counterpoint.apps.reasons import reasons
from counterpoint.curation.judge import Flags, Judgement
from counterpoint.data.corpus import Corpus
from counterpoint.data.parts import ArrayPart, Part
from counterpoint.errors import require
from counterpoint.files import write_whole
from counterpoint.probes.inputs import Floats, Ints

NOT_JUDGED = "not judged: content or label is missing"


@dataclass(frozen=True)
class PartsFindings:
    """All that is to be written.

    Attributes:
        parts: of the corpus.
        corpus: N rows, its labels as judged.
        given: labels of the M rows that were judged, as their owner gave them ``(M,)``.
        judgement: of those.
        rows: their positions ``(M,)``, rising.
        corrected: their labels after the policy ``(M,)``.
        stays: bool ``(M,)``, rows that the policy keeps.
        written: how the owner writes each class, by its number.
    """

    parts: Sequence[Part]
    corpus: Corpus
    given: Ints
    judgement: Judgement
    rows: Ints
    corrected: Ints
    stays: Flags
    written: dict[int, Any]

    def write(self, folder: Path, settings: dict[str, Any]) -> dict[str, str]:
        """Writes every file, and says where."""
        csv = require("pyarrow.csv", "data")
        writers: dict[str, Callable[[Any], None]] = {}
        single = isinstance(self.parts[0], ArrayPart)
        for name, table in (("credibility", self._found), ("denoised", self._denoised)):
            tables = [partial(table, at) for at in range(len(self.parts))]
            if single:
                writers[f"{name}.parquet"] = partial(_one_file, tables)
            for at, part in enumerate([] if single else self.parts):
                writers[f"{name}/{part.name}.parquet"] = partial(_one_file, tables[at : at + 1])
        worst = worst_first(self.judgement)
        listed = self._listed(worst)
        writers["corrections.csv"] = lambda file: csv.write_csv(listed, file)
        text = yaml.safe_dump({"data": self.corpus.name, **settings}, sort_keys=False)
        writers["config.yaml"] = lambda file: file.write(text.encode())
        for name, write in writers.items():
            write_whole(folder / name, write)
        names = dict.fromkeys(name.split("/")[0] for name in writers)
        return {name: str(folder / name) for name in names}

    def _listed(self, at: Ints) -> Any:
        """Flagged rows, with their neighbours and contents as text."""
        arrow = require("pyarrow", "data")
        table = self._columns(self.rows[at], at)
        near = [" ".join(map(str, value)) for value in table["neighbours"].to_pylist()]
        table = table.set_column(COLUMNS.index("neighbours"), "neighbours", arrow.array(near))
        if not self.corpus.content:
            return table
        order = np.argsort(self.rows[at])
        said = ByRow(self.parts, lambda part: part.said())
        texts = np.empty(len(at), dtype=object)
        texts[order] = [str(said[row]) for row in self.rows[at][order].tolist()]
        return table.append_column(self.corpus.content, arrow.array(texts.tolist(), arrow.string()))

    def _found(self, part: int) -> Any:
        start, stop = self._rows_of(part)
        at = np.full(stop - start, -1)
        low, high = np.searchsorted(self.rows, [start, stop])
        at[self.rows[low:high] - start] = np.arange(low, high)
        return self._columns(np.arange(start, stop), at)

    def _columns(self, rows: Ints, at: Ints) -> Any:
        """The columns of the result for some rows; ``at`` is -1 where one was not judged."""
        arrow = require("pyarrow", "data")
        judgement, names = self.judgement, arrow.array(self.corpus.classes, arrow.string())
        judged, place = at >= 0, np.maximum(at, 0)
        prior = 1 - judgement.noise_share
        near = self._first[judgement.near.index[judgement.group[place], :SHOWN_NEIGHBOURS]]
        ends = np.cumsum(np.where(judged, near.shape[1], 0))

        def named(numbers: Ints) -> Any:
            masked = arrow.array(numbers, mask=numbers < 0)
            return arrow.DictionaryArray.from_arrays(masked, names).cast(arrow.string())

        reason = np.full(len(at), NOT_JUDGED, dtype=object)
        reason[judged] = reasons(judgement, self.corpus.classes, at[judged])
        values = {
            "row": rows,
            "label": named(self.corpus.labels[rows]),
            "credibility": np.where(judged, judgement.credibility[place], prior),
            "flagged": judged & judgement.flagged[place],
            "suggested_label": named(
                np.where(judged, self._suggested[place], self.corpus.labels[rows])
            ),
            "confidence": np.where(judged, self._confidence[place], prior),
            "neighbours": arrow.ListArray.from_arrays(
                arrow.array(np.r_[0, ends], arrow.int32()), arrow.array(near[judged].ravel())
            ),
            "reason": reason.tolist(),
        }
        return arrow.table({name: values[name] for name in COLUMNS})

    def _denoised(self, part: int) -> Any:
        """The owner's columns of a part, corrected by the policy."""
        arrow = require("pyarrow", "data")
        start, stop = self._rows_of(part)
        low, high = np.searchsorted(self.rows, [start, stop])
        own = self.parts[part]
        table = own.table()
        column = table[own.label].combine_chunks()
        values = column.to_pylist()
        for at in range(low, high):
            if self.corrected[at] != self.given[at]:
                values[self.rows[at] - start] = self.written[int(self.corrected[at])]
        stays = np.ones(stop - start, dtype=bool)
        stays[self.rows[low:high] - start] = self.stays[low:high]
        place = table.column_names.index(own.label)
        changed = arrow.array(values, type=column.type)
        return table.set_column(place, own.label, changed).filter(arrow.array(stays))

    def _rows_of(self, part: int) -> tuple[int, int]:
        stop = sum(len(own) for own in self.parts[: part + 1])
        return stop - len(self.parts[part]), stop

    @cached_property
    def _first(self) -> Ints:
        """First row of every content."""
        return self.rows[np.unique(self.judgement.group, return_index=True)[1]]

    @cached_property
    def _suggested(self) -> Ints:
        return self.judgement.suggested

    @cached_property
    def _confidence(self) -> Floats:
        return self.judgement.confidence


def _one_file(tables: Sequence[Callable[[], Any]], file: Any) -> None:
    """Writes tables, made one at a time, as one Parquet file."""
    parquet = require("pyarrow.parquet", "data")
    first, *rest = tables
    table = first()
    with parquet.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        for make in rest:
            writer.write_table(make())
