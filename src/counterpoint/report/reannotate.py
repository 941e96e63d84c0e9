"""The page of a reannotation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint.files import write_text
from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.charts import Figure
from counterpoint.report.page import Head, Part, render
from counterpoint.report.protocol import tree

MOST_PAIRS = 20
MOST_GROUPS = 20
MEASURES = (
    ("auroc", "AUROC"),
    ("average_precision", "average precision"),
    ("f1", "F1 at own threshold"),
    ("f1_at_true_count", "F1 at the true count"),
    ("accuracy", "rightly corrected"),
    ("macro_f1", "macro F1 of corrections"),
)


def reannotate_page(result: Mapping[str, Any], path: Path) -> None:
    """Writes the page of a reannotation as one self-contained HTML file, whole or not at all.

    Args:
        result: what `counterpoint.apps.reannotate.reannotate_corpus` returns.
        path: the file to write; its folder is made if need be.

    Raises:
        MissingExtraError: jinja2 or plotly is not installed.
    """
    parts: list[Part | None] = [
        _proof(result),
        _worst(result),
        _duplicates(result),
        _classes(result),
        _scores(result),
        _settings(result),
    ]
    write_text(path, render(_head(result), [part for part in parts if part]))


def _head(result: Mapping[str, Any]) -> Head:
    data = mapping(result, "data")
    name = str(data.get("name") or "")
    flagged, judged = result.get("flagged", 0), data.get("judged", 0)
    many = mapping(result, "multi_label")
    facts = [
        ("data", name),
        ("rows judged", numbers.count(judged)),
        ("classes", numbers.count(data.get("classes", 0))),
        ("wrong, by estimate", numbers.percent(many.get("share_wrong", result["noise_share"]))),
        ("missing, by estimate", many and numbers.percent(many["share_missing"])),
        ("rows flagged" if many else "flagged", numbers.count(flagged)),
        (f"changed ({result.get('policy')})", numbers.count(result.get("changed", 0))),
        ("encoder", str(result.get("encoder") or "")),
    ]
    return Head(
        title=f"{name} – reannotate",
        kind="reannotate",
        headline=(
            (
                f"{numbers.count(many['wrong'])} of {numbers.count(data.get('labels', 0))} labels "
                "look wrong;",
                f"{numbers.count(many['missing'])} more look missing.",
            )
            if many
            else (
                f"{numbers.count(flagged)} of {numbers.count(judged)} labels look wrong;",
                f"about {numbers.percent(result.get('noise_share', 0))} are, by estimate.",
            )
        ),
        notes=tuple(str(note) for note in sequence(result, "notes")),
        facts=tuple((key, value) for key, value in facts if value),
        origin=f"counterpoint {result.get('version', '')}".strip(),
    )


def _proof(result: Mapping[str, Any]) -> Part | None:
    proof = mapping(result, "proof")
    methods = mapping(proof, "methods")
    if not methods:
        return None
    best = {
        key: max(methods, key=lambda name, key=key: methods[name][key])  # type: ignore[misc]
        for key, _ in MEASURES
    }
    lines = [
        (name, [(numbers.decimal(values[key], 3), best[key] == name) for key, _ in MEASURES])
        for name, values in methods.items()
    ]
    corrections = mapping(proof, "corrections")
    return Part(
        id="proof",
        title="Proof against the truth",
        template="label_proof.html.jinja",
        context={
            "titles": [title for _, title in MEASURES],
            "lines": lines,
            "downstream": [
                (name, numbers.decimal(value, 3))
                for name, value in mapping(proof, "downstream").items()
            ],
            "corrections": [(name, numbers.count(n)) for name, n in corrections.items()],
        },
        lead=_against(proof),
    )


def _against(proof: Mapping[str, Any]) -> str:
    wrong, rows = numbers.count(proof.get("wrong", 0)), numbers.count(proof.get("rows", 0))
    if "wrong_rows" in proof:
        return (
            f"{wrong} labels are wrong or missing, in {numbers.count(proof['wrong_rows'])} of "
            f"{rows} rows; no judge has seen the truth. Each label, and each absence of one, is "
            "counted alone; downstream is micro F1."
        )
    return f"{wrong} of {rows} labels differ from the truth, which no judge has seen."


def _worst(result: Mapping[str, Any]) -> Part | None:
    worst = sequence(result, "worst")
    if not worst:
        return None
    return Part(
        id="worst",
        title="Worst labels",
        template="worst_labels.html.jinja",
        context={
            "entries": [
                {
                    **entry,
                    "credibility": numbers.percent(entry["credibility"]),
                    "confidence": numbers.percent(entry["confidence"]),
                }
                for entry in worst
            ],
            "more": max(0, int(result.get("flagged", 0)) - len(worst)),
        },
        lead="The least credible labels first; all of them are in corrections.csv.",
    )


def _duplicates(result: Mapping[str, Any]) -> Part | None:
    found = mapping(result, "duplicates")
    groups, near = sequence(found, "groups"), sequence(result, "near_duplicates")
    if not groups and not near:
        return None
    return Part(
        id="duplicates",
        title="Same content, different labels",
        template="label_duplicates.html.jinja",
        context={
            "groups": [
                {**group, "labels": list(group["labels"].items())} for group in groups[:MOST_GROUPS]
            ],
            "near": [
                {**pair, "cosine": numbers.decimal(pair["cosine"], 3)}
                for pair in near[:MOST_GROUPS]
            ],
        },
        lead=f"{numbers.count(found.get('conflicting', 0))} contents carry several labels; "
        "at least one of each is wrong where a row has one true class.",
    )


def _classes(result: Mapping[str, Any]) -> Part | None:
    rows = sequence(result, "classes")
    if not rows:
        return None
    return Part(
        id="classes",
        title="Classes",
        template="label_classes.html.jinja",
        context={
            "rows": [
                (
                    row["class"],
                    row["rows"],
                    row["flagged"],
                    row["flagged"] / row["rows"],
                    numbers.percent(row["flagged"] / row["rows"]),
                    numbers.decimal(row["expected_wrong"], 1),
                    row["protected"],
                    row.get("missing"),
                )
                for row in rows
            ],
            "several": bool(mapping(result, "multi_label")),
            "pairs": [
                (pair["label"], pair["suggested_label"], pair["count"])
                for pair in sequence(result, "confusions")[:MOST_PAIRS]
            ],
        },
        lead="Classes too small to be judged by neighbours are protected: nothing of them is "
        "flagged but equal content with other labels.",
    )


def _scores(result: Mapping[str, Any]) -> Part | None:
    counts = sequence(result, "histogram")
    if not counts:
        return None
    width = 1 / len(counts)
    figure = Figure(
        label="Labels by credibility",
        data=[
            {
                "type": "bar",
                "x": [(at + 0.5) * width for at in range(len(counts))],
                "y": list(counts),
                "width": width,
                "marker": {"color": "--c1"},
                "hovertemplate": "credibility near %{x:.2f}: %{y} labels<extra></extra>",
            }
        ],
        layout={
            "xaxis": {"title": {"text": "credibility"}, "range": [0, 1]},
            "yaxis": {"title": {"text": "labels"}, "type": "log"},
            "bargap": 0.05,
        },
        height=260,
    )
    return Part(
        id="scores",
        title="Credibility",
        template="chart.html.jinja",
        context={"figures": [figure], "note": "Logarithmic: most labels are credible."},
        lead="Credibility is the estimated probability that a label is right.",
    )


def _settings(result: Mapping[str, Any]) -> Part | None:
    data = mapping(result, "data")
    problems = sequence(data, "problems")
    shown = {key: value for key, value in data.items() if key != "problems"}
    return Part(
        id="protocol",
        title="Data and settings",
        template="protocol.html.jinja",
        context={
            "data": tree(shown),
            "protocol": tree(mapping(result, "settings")),
            "problems": problems[:100],
            "more": max(0, len(problems) - 100),
            "count": len(problems),
        },
    )
