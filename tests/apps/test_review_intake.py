from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from counterpoint.apps.reannotate import reannotate_corpus
from counterpoint.apps.review import queries
from counterpoint.apps.review.intake import HEAD, KINDS, _fields, kind_of, open_review
from counterpoint.curation.corrector import Corrector
from counterpoint.curation.judge import Judge
from counterpoint.data.corpus import read_corpus
from counterpoint.data.findings import Findings, read_embeddings
from counterpoint.errors import DataError


def test_worst_first_then_the_rest(findings: Path) -> None:
    store = open_review(findings)
    rows = [item["row"] for item in queries.page(store, "ada", queries.Filter("all"))]
    assert rows == [0, 1, 2, 3, 4, 5]
    assert len(queries.page(store, "ada", queries.Filter())) == 4


def test_order_follows_credibility_then_confidence(make_findings: Any, tmp_path: Path) -> None:
    folder = make_findings(
        tmp_path / "f",
        ["a", "b", "c", "d"],
        ["x", "x", "x", "y"],
        ["y", "y", "y", "y"],
        credibility=[0.3, 0.1, 0.1, 0.01],
        confidence=[0.5, 0.5, 0.8, 0.9],
    )
    found = queries.page(open_review(folder), "ada", queries.Filter("all"))
    assert [item["row"] for item in found] == [2, 1, 0, 3]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_without_results(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "none"
    if there:
        folder.mkdir()
    says = "has no credibility.parquet" if there else "is no folder"
    with pytest.raises(DataError, match=f"{says}.*counterpoint reannotate FILE --out"):
        open_review(folder)
    assert list(tmp_path.rglob("*")) == ([folder] if there else [])


def test_damaged_results_are_named(findings: Path) -> None:
    (findings / "credibility.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"credibility\.parquet cannot be read"):
        open_review(findings)


def test_results_of_another_corpus_do_not_take_over_decisions(
    findings: Path, make_findings: Any
) -> None:
    store = open_review(findings)
    store.decide("ada", 0, "keep")
    store.close()
    make_findings(findings, ["other"] * 3, ["a", "b", "a"], ["b", "a", "b"])
    with pytest.raises(DataError, match="decisions on other rows or labels"):
        open_review(findings)


def test_new_results_of_the_same_corpus_keep_decisions(findings: Path, make_findings: Any) -> None:
    store = open_review(findings)
    store.decide("ada", 0, "keep")
    store.close()
    texts = [f"text number {row}" for row in range(6)]
    labels = ["cat", "cat", "dog", "dog", "owl", "owl"]
    make_findings(findings, texts, labels, ["dog", "cat", "dog", "dog", "owl", "cat"], z=np.eye(6))
    store = open_review(findings)
    found = queries.page(store, "ada", queries.Filter(), status="any")
    assert [(item["row"], item["action"]) for item in found] == [(0, "keep"), (5, None)]


def test_decisions_outlive_a_new_layout_of_the_tables(findings: Path) -> None:
    store = open_review(findings)
    store.decide("ada", 0, "keep")
    with store.writing() as database:
        for table in ("value", "member"):
            database.execute(f"DELETE FROM {table}")
        database.execute("UPDATE meta SET value = SUBSTR(value, 3) WHERE key = 'stamp'")
    store.close()
    store = open_review(findings)
    found = queries.page(store, "ada", queries.Filter(), status="any")
    assert [(item["row"], item["action"]) for item in found][:2] == [(0, "keep"), (1, None)]


@pytest.mark.parametrize(
    ("reason", "given", "suggested", "kind"),
    [
        ("“a” is likely missing (90%; 5 of 9 neighbours carry it)", [], ["a"], "missing"),
        ("“a” is likely wrong (90%; 0 of 9 neighbours carry it)", ["a"], [], "wrong"),
        ("“a” is likely missing …; “b” is likely wrong …", ["b"], ["a"], "exchanged"),
        ("“a” is perhaps missing (60%; 67% of the rows of this content carry it)", [], ["a"],
         "duplicate"),
        ("“a” is hardly missing (9%; 0 of 9 neighbours carry it)", ["b"], ["b"], "agrees"),
        ("41 of 50 neighbours are “plant”", "food", "plant", "neighbours"),
        ("the same content carries “b” in 2 rows", "a", "b", "duplicate"),
    ],
)  # fmt: skip
def test_kinds_of_findings(reason: str, given: Any, suggested: Any, kind: str) -> None:
    assert kind_of(reason, given, suggested) == kind
    assert kind in KINDS


def test_long_texts_are_cut_until_asked_for(make_findings: Any, tmp_path: Path) -> None:
    long = "é" * 1_000_000
    folder = make_findings(tmp_path / "f", [long, "b\0c"], ["x", "y"], ["y", "x"])
    store = open_review(folder)
    row = queries.row(store, "ada", 0)
    assert (row["size"], len(row["text"])) == (1_000_000, HEAD)
    assert queries.whole_text(store, 0) == long
    assert len(row["neighbours"][0]["text"]) <= 400
    assert queries.row(store, "ada", 1)["text"] == queries.whole_text(store, 1) == "b\0c"


def test_what_reannotate_writes_can_be_reviewed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(90) % 3
    labels = truth.copy()
    labels[:6] = (labels[:6] + 1) % 3
    labels[7] = -1
    z = np.repeat(np.eye(3), 4, axis=1)[truth] + 0.3 * rng.normal(size=(90, 12))
    z[80] = z[81]
    names = ("cat", "dog", "owl")
    np.savez(tmp_path / "z.npz", embeddings=z, labels=labels, classes=names)
    quick = Judge(neighbours=10, corrector=Corrector(hidden=16))
    folder = tmp_path / "out"
    result = reannotate_corpus(read_corpus(tmp_path / "z.npz"), folder, judge=quick)
    store = open_review(folder)
    assert queries.progress(store, "ada", queries.Filter())["total"] == result["flagged"]
    every = queries.page(store, "ada", queries.Filter("all"), limit=200)
    assert len(every) == result["data"]["judged"] == 89
    assert {item["kind"] for item in every} <= set(KINDS)
    assert {item["kind"] for item in every} >= {"neighbours", "duplicate", "agrees"}
    embeddings = read_embeddings(folder)
    assert np.isnan(embeddings[7]).all()
    length = np.linalg.norm(np.delete(embeddings, 7, 0).astype(float), axis=1)
    assert length == pytest.approx(1, abs=1e-2)


def test_the_true_labels_are_not_shown_to_who_decides(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [f"{('cat', 'dog')[n % 2]} {rng.integers(1000)} {n}" for n in range(40)]
    rows = [f"{word},{n % 2},{'ab'[n % 2]},note {n}" for n, word in enumerate(words)]
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["body,topic,gold,remark", *rows]))
    corpus = read_corpus(file, text="body", label="topic", truth="gold")
    findings = Findings(
        corpus.name, corpus.kind, "topic", "body", None, corpus.table, None, corpus.truth_column
    )
    shown = [json.loads(fields) for fields in _fields(findings)]
    assert shown[3] == {"remark": "note 3"}
