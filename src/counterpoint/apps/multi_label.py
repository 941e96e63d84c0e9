"""Finds wrong and missing labels where a row may carry any number of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from counterpoint.apps.findings import held_notes, origin
from counterpoint.apps.for_review import review_files
from counterpoint.apps.marks_proof import prove
from counterpoint.apps.reasons import classes_name
from counterpoint.apps.representations import represent
from counterpoint.apps.room import check_room
from counterpoint.apps.shown import shown
from counterpoint.curation.duplicates import same_content
from counterpoint.curation.judge import Flags, Judge
from counterpoint.curation.multi_label import BEST, MarksJudgement, judge_marks
from counterpoint.curation.noise import plant_marks
from counterpoint.data.classes import class_name
from counterpoint.data.corpus import MultiLabelCorpus
from counterpoint.data.findings import FOUND
from counterpoint.data.label_sets import label_set, mark, rewritten
from counterpoint.errors import require
from counterpoint.files import write_whole
from counterpoint.probes.inputs import Ints
from counterpoint.progress import OnProgress

if TYPE_CHECKING:
    import pandas as pd

LABELS = "label_credibility.parquet"
PLANTED = "missing and extra"
DOUBTFUL = 0.01
SHOWN_NEIGHBOURS = 5
MOST_SHOWN = 200
NOT_JUDGED = "not judged: content or labels are missing"
ONLY_FROZEN = "Fine-tuning needs one label a row; the frozen judgement stands."
BLIND_SPOT = (
    "Neighbours see labels that differ from those of similar rows. A label that is missing or "
    "wrong throughout a whole region (a guideline that forgets it) is consistent and cannot be "
    "seen this way."
)


def reannotate_sets(
    inputs: Any,
    labels: Sequence[Any],
    *,
    encoder: str | None = None,
    judge: Judge | None = None,
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Judges the labels of every row, and suggests others where one is probably wrong or missing.

    Args:
        inputs: N texts, N images ``(C, H, W)``, or embeddings ``(N, D)``.
        labels: N lists of labels of any type, empty ones included; None is not judged.
        encoder, judge, on_progress: as of `counterpoint.reannotate`.

    Returns:
        The columns of `counterpoint.reannotate`, ``label`` and ``suggested_label`` holding lists,
        and ``label_credibility``: a list a row, in the order of ``label``. ``credibility`` is that
        of the row's least credible label or missing label, ``confidence`` that of the least sure
        suggested one.

    Raises:
        DataError: inputs or labels that do not fit, or too few of them.
    """
    pandas = require("pandas", "data")
    items, sets = list(inputs), [label_set(value) for value in labels]
    classes, marks = mark(sets)
    full = [item is not None and (not isinstance(item, str) or item.strip()) for item in items]
    known = [labels is not None for labels in sets]
    rows = np.flatnonzero(np.array(full, dtype=bool) & np.array(known, dtype=bool))
    check_room(len(rows), len(classes))
    there = [items[row] for row in rows.tolist()]
    z = represent(there, encoder, on_progress=on_progress)
    found = judge_marks(judge or Judge(), z, marks[rows], same_content(there), on_progress)
    suggested = marks.copy()
    suggested[rows] = found.suggested
    table = _table(found, rows, len(items), classes)
    written = rewritten(list(sets), marks, suggested, classes)
    number = {name: at for at, name in enumerate(classes)}
    trust = np.ones(marks.shape)
    trust[rows] = 1 - found.wrong
    table["label"] = sets
    table["suggested_label"] = written
    table["label_credibility"] = [
        [float(trust[row, number[class_name(label)]]) for label in own or []]
        for row, own in enumerate(sets)
    ]
    frame: pd.DataFrame = pandas.DataFrame(table)
    return frame


def reannotate_marks(
    corpus: MultiLabelCorpus,
    folder: Path | None = None,
    *,
    encoder: str | None = None,
    judge: Judge | None = None,
    policy: str = "gated",
    noise: float = 0.0,
    force: bool = False,
    budget: float | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """`counterpoint.apps.reannotate.reannotate_corpus` for rows with any number of labels.

    Writes the files that it writes, with lists of labels, and ``label_credibility.parquet``:
    ``row``, ``label``, ``given``, ``credibility`` (of the label, or of its absence), ``flagged``;
    every given label, and every absent one that is missing with a probability of at least 0.01.

    Args:
        corpus: see `counterpoint.data.corpus.read_corpus`.
        folder: to write to; None writes nothing.
        encoder, judge, force, on_progress: as there.
        policy: ``"gated"`` adds and takes away flagged labels that are missing or wrong with a
            probability of at least 0.5, ``"all"`` gives every row its likelier answers, ``"drop"``
            leaves out rows with a flagged label.
        noise: share of labels to take away first, as many wrong ones given; see
            `counterpoint.curation.noise.plant_marks`.
        budget: minutes; nothing is fine-tuned, which the notes say.
    """
    judge = judge or Judge()
    start = time.monotonic()
    rows = np.flatnonzero(corpus.usable)
    check_room(len(rows), len(corpus.classes))
    items = [corpus.items[row] for row in rows.tolist()]
    z = represent(items, encoder, images=corpus.kind == "images", on_progress=on_progress)
    embedded = time.monotonic()
    if noise:
        corpus = _with_noise(corpus, rows, noise, judge.seed)
    found = judge_marks(judge, z, corpus.marks[rows], same_content(items), on_progress)
    judged = time.monotonic()
    fixed = ~corpus.held[rows] | force
    corrected, kept = _applied(found, policy, fixed)
    result = _described(corpus, found, rows, policy, corrected, kept)
    result["seconds"] = {"embed": embedded - start, "judge": judged - embedded}
    if noise:
        result["planted"] = {"share": noise, "kind": PLANTED, "seed": judge.seed}
    if budget is not None:
        result["budget"] = {"minutes": budget, "fine_tuned": False, "note": ONLY_FROZEN}
    if corpus.truth is not None:
        gated, _ = _applied(found, "gated", fixed)
        _, left = _applied(found, "drop", fixed)
        result["proof"] = prove(found, corpus.truth[rows], z, gated, left, on_progress)
    result["encoder"] = encoder
    result["settings"] = {**asdict(judge), "policy": policy, "budget": budget}
    if folder is not None:
        result["files"] = _written(folder, corpus, found, rows, z, corrected, kept, result)
    return result


def _with_noise(corpus: MultiLabelCorpus, rows: Ints, share: float, seed: int) -> MultiLabelCorpus:
    marks = corpus.marks.copy()
    marks[rows] = plant_marks(corpus.marks[rows], share, seed)
    return replace(corpus, table=_relabelled(corpus, marks), marks=marks, truth=corpus.marks)


def _relabelled(corpus: MultiLabelCorpus, marks: Flags) -> Any:
    arrow = require("pyarrow", "data")
    column = corpus.table[corpus.label].combine_chunks()
    values = rewritten(column.to_pylist(), corpus.marks, marks, corpus.classes, corpus.separator)
    at = corpus.table.column_names.index(corpus.label)
    return corpus.table.set_column(at, corpus.label, arrow.array(values, type=column.type))


def _applied(found: MarksJudgement, policy: str, free: Flags) -> tuple[Flags, Flags]:
    """Marks after a policy, and which rows it keeps."""
    kept = np.ones(len(found.marks), dtype=bool)
    if policy == "drop":
        return found.marks, ~(free & found.flagged.any(axis=1))
    changed = found.flagged & (found.wrong >= BEST)
    if policy == "all":
        changed = found.best ^ found.marks
    return found.marks ^ (changed & free[:, None]), kept


def _table(
    found: MarksJudgement, rows: Ints, count: int, classes: Sequence[str]
) -> dict[str, list[Any]]:
    """The columns of the result that are not labels, of every row."""
    first = np.full(int(found.group.max()) + 1, count)
    np.minimum.at(first, found.group, rows)
    near = first[found.near.index[:, :SHOWN_NEIGHBOURS]][found.group]
    usual = float(found.credibility.mean())
    table: dict[str, list[Any]] = {
        "row": list(range(count)),
        "label": [None] * count,
        "credibility": [usual] * count,
        "flagged": [False] * count,
        "suggested_label": [None] * count,
        "confidence": [usual] * count,
        "neighbours": [[] for _ in range(count)],
        "reason": [NOT_JUDGED] * count,
    }
    columns: dict[str, list[Any]] = {
        "credibility": found.credibility.tolist(),
        "flagged": np.any(found.flagged, axis=1).tolist(),
        "confidence": found.confidence.tolist(),
        "neighbours": near.tolist(),
        "reason": reasons(found, classes),
    }
    for name, values in columns.items():
        for row, value in zip(rows.tolist(), values, strict=True):
            table[name][row] = value
    return table


def reasons(found: MarksJudgement, classes: Sequence[str]) -> list[str]:
    """One sentence a row: what is missing and what is wrong, the surest first."""
    total = found.near.index.shape[1]
    out = []
    for row, flagged in enumerate(found.flagged):
        content = found.group[row]
        labels = np.flatnonzero(flagged)
        labels = labels[np.argsort(-found.wrong[row, labels], kind="stable")]
        least = labels if len(labels) else found.wrong[row].argmax(keepdims=True)
        carried = found.said[found.near.index[content]][:, least].sum(axis=0)
        parts = []
        for label, number in zip(least.tolist(), carried.tolist(), strict=True):
            given = found.marks[row, label]
            what = "wrong" if given else "missing"
            said = "likely" if len(labels) else "hardly"
            share = found.said[content, label]
            if 0 < share < 1:
                said, why = "perhaps", f"{share:.0%} of the rows of this content carry it"
            else:
                why = f"{number:.0f} of {total} neighbours carry it"
            name = classes_name(classes, label)
            parts.append(f"{name} is {said} {what} ({found.wrong[row, label]:.0%}; {why})")
        out.append("; ".join(parts))
    return out


def _described(
    corpus: MultiLabelCorpus,
    found: MarksJudgement,
    rows: Ints,
    policy: str,
    corrected: Flags,
    kept: Flags,
) -> dict[str, Any]:
    wrong = found.flagged & found.marks
    missing = found.flagged & ~found.marks
    about = origin(corpus, len(rows), len(corpus.classes))
    about["data"]["labels"] = int(found.marks.sum())
    return {
        **about,
        "multi_label": {
            "wrong": int(wrong.sum()),
            "missing": int(missing.sum()),
            "share_missing": float(found.rates.missing.mean()),
            "share_wrong": float(found.wrong[found.marks].mean()),
        },
        "noise_share": float((1 - found.credibility).mean()),
        "flagged": int(found.flagged.any(axis=1).sum()),
        "policy": policy,
        "changed": int((corrected != found.marks).any(axis=1).sum()),
        "dropped": int((~kept).sum()),
        "agreement": float((found.best == found.marks).mean()),
        "classes": [
            {
                "class": name,
                "rows": int(found.marks[:, c].sum()),
                "flagged": int(wrong[:, c].sum()),
                "missing": int(missing[:, c].sum()),
                "expected_wrong": float(found.wrong[found.marks[:, c], c].sum()),
                "protected": bool(found.rare[c]),
            }
            for c, name in enumerate(corpus.classes)
            if found.marks[:, c].any()
        ],
        "duplicates": _duplicates(corpus, found, rows),
        "worst": [
            {
                "row": int(rows[at]),
                "label": _joined(corpus, found.marks[at]),
                "suggested_label": _joined(corpus, found.suggested[at]),
                "credibility": float(found.credibility[at]),
                "confidence": float(found.confidence[at]),
                "reason": said,
                **shown(corpus, int(rows[at])),
            }
            for at, said in _worst(found, corpus.classes)
        ],
        "histogram": np.histogram(found.credibility, bins=20, range=(0, 1))[0].tolist(),
        "notes": [BLIND_SPOT, *held_notes(corpus)],
    }


def _worst(found: MarksJudgement, classes: Sequence[str]) -> list[tuple[int, str]]:
    said = reasons(found, classes)
    return [(at, said[at]) for at in _worst_first(found)[:MOST_SHOWN].tolist()]


def _worst_first(found: MarksJudgement) -> Ints:
    flagged = np.flatnonzero(found.flagged.any(axis=1))
    worst: Ints = flagged[np.argsort(found.credibility[flagged], kind="stable")]
    return worst


def _joined(corpus: MultiLabelCorpus, marks: Flags) -> str:
    return ", ".join(corpus.classes[n] for n in np.flatnonzero(marks)) or "–"


def _duplicates(corpus: MultiLabelCorpus, found: MarksJudgement, rows: Ints) -> dict[str, Any]:
    """Contents that carry several sets of labels."""
    mixed = np.unique(found.group[found.conflicting])
    groups = []
    for group in mixed[:MOST_SHOWN].tolist():
        members = np.flatnonzero(found.group == group)
        sets = [_joined(corpus, found.marks[at]) for at in members]
        groups.append(
            {
                "rows": rows[members].tolist(),
                "labels": {name: sets.count(name) for name in dict.fromkeys(sets)},
                **shown(corpus, int(rows[members[0]])),
            }
        )
    size = np.bincount(found.group)
    return {
        "repeated": int((size > 1).sum()),
        "rows": int(size[size > 1].sum()),
        "conflicting": len(mixed),
        "groups": groups,
    }


def _written(
    folder: Path,
    corpus: MultiLabelCorpus,
    found: MarksJudgement,
    rows: Ints,
    z: NDArray[Any],
    corrected: Flags,
    kept: Flags,
    result: dict[str, Any],
) -> dict[str, str]:
    arrow = require("pyarrow", "data")
    parquet = require("pyarrow.parquet", "data")
    csv = require("pyarrow.csv", "data")
    table = _table(found, rows, len(corpus), corpus.classes)
    suggested, marks = corpus.marks.copy(), corpus.marks.copy()
    suggested[rows], marks[rows] = found.suggested, corrected
    for name, values in (("label", corpus.marks), ("suggested_label", suggested)):
        table[name] = [
            [corpus.classes[n] for n in np.flatnonzero(values[row])] if there else None
            for row, there in enumerate(corpus.labelled)
        ]
    lists = arrow.list_(arrow.string())
    types = {"label": lists, "suggested_label": lists, "neighbours": arrow.list_(arrow.int64())}
    credibility = arrow.table(
        {name: arrow.array(values, type=types.get(name)) for name, values in table.items()}
    )
    worst = credibility.take(arrow.array(rows[_worst_first(found)]))
    for name, between in (("label", "|"), ("suggested_label", "|"), ("neighbours", " ")):
        said = [between.join(map(str, value or [])) for value in worst[name].to_pylist()]
        worst = worst.set_column(worst.column_names.index(name), name, arrow.array(said))
    if corpus.content:
        worst = worst.append_column(corpus.content, corpus.table[corpus.content].take(worst["row"]))
    every = np.ones(len(corpus), dtype=bool)
    every[rows] = kept
    denoised = _relabelled(corpus, marks).filter(every)
    settings = {"data": corpus.name, "encoder": result["encoder"], **result["settings"]}
    labels = arrow.table(_label_rows(found, rows, corpus.classes))
    writers: dict[str, Callable[[Any], None]] = {
        FOUND: lambda file: parquet.write_table(credibility, file),
        LABELS: lambda file: parquet.write_table(labels, file),
        "corrections.csv": lambda file: csv.write_csv(worst, file),
        "denoised.parquet": lambda file: parquet.write_table(denoised, file),
        "config.yaml": lambda file: file.write(yaml.safe_dump(settings, sort_keys=False).encode()),
        **review_files(corpus, rows, z),
    }
    for name, write in writers.items():
        write_whole(folder / name, write)
    return {name: str(folder / name) for name in writers}


def _label_rows(found: MarksJudgement, rows: Ints, classes: Sequence[str]) -> dict[str, Any]:
    at, label = np.nonzero(found.marks | found.flagged | (found.wrong >= DOUBTFUL))
    return {
        "row": rows[at],
        "label": [classes[n] for n in label.tolist()],
        "given": found.marks[at, label],
        "credibility": 1 - found.wrong[at, label],
        "flagged": found.flagged[at, label],
    }
