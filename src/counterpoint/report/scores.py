"""Histograms of the similarity of positive and negative pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.charts import Figure, Trace
from counterpoint.report.page import Part

KINDS = (("positive", "positive pairs", "--c1"), ("negative", "negative pairs", "--c2"))
SOURCES = (
    ("of_views", "Two views of a sample", "positive: of one sample; negative: of two"),
    ("of_labels", "Labels", "positive: samples of one label; negative: of two"),
)


def scores(result: Mapping[str, Any]) -> Part | None:
    """One histogram for each way to say what belongs together; None if there is none."""
    found = mapping(result, "scores")
    panels = [
        (title, words, facts(histogram), histogram_figure(histogram, title))
        for key, title, words in SOURCES
        if (histogram := mapping(found, key))
    ]
    if not panels:
        return None
    return Part(
        id="scores",
        title="Scores",
        template="scores.html.jinja",
        context={"panels": panels, "kinds": KINDS, "wide": True},
        lead="Cosine similarity of pairs that belong together and of pairs that do not. The less "
        "the two hills overlap, the more a similarity tells.",
    )


def histogram_figure(
    histogram: Mapping[str, Any],
    title: str,
    span: tuple[float, float] | None = None,
    height: int = 280,
) -> Figure:
    """Both histograms over one axis, as shares of their own kind.

    Args:
        histogram: as of `counterpoint.geometry.score_histogram`.
        title: of what.
        span: of the axis; what is used by default.
        height: in CSS pixels.
    """
    edges = [float(edge) for edge in sequence(histogram, "edges")]
    data: list[Trace] = []
    for key, name, colour in KINDS:
        shares = _shares(sequence(histogram, key))
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "line": {"shape": "hv", "color": colour, "width": 1.5},
                "fill": "tozeroy",
                "fillcolor": f"{colour}-soft",
                "x": edges,
                "y": [*shares, shares[-1] if shares else 0],
                "hovertemplate": "from %{x:.2f}: %{y:.1f} %<extra>%{fullData.name}</extra>",
            }
        )
    return Figure(
        label=f"Similarity of positive and negative pairs: {title}",
        data=data,
        layout={
            "xaxis": {
                "title": {"text": "cosine similarity"},
                "range": list(span or span_of(histogram)),
            },
            "yaxis": {"title": {"text": "share of pairs (%)"}, "rangemode": "tozero"},
            "showlegend": False,
            "margin": {"l": 48, "r": 12, "t": 8, "b": 36},
        },
        height=height,
    )


def _shares(counts: Sequence[Any]) -> list[float]:
    total = sum(counts)
    return [100 * count / total if total else 0.0 for count in counts]


def span_of(histogram: Mapping[str, Any]) -> tuple[float, float]:
    """The part of the axis in which any pair lies, and a bin on either side."""
    edges = sequence(histogram, "edges")
    counts = zip(sequence(histogram, "positive"), sequence(histogram, "negative"), strict=False)
    used = [i for i, pair in enumerate(counts) if any(pair)]
    if not used:
        return -1.0, 1.0
    return edges[max(used[0] - 1, 0)], edges[min(used[-1] + 2, len(edges) - 1)]


def facts(histogram: Mapping[str, Any]) -> str:
    """Means and overlap in words."""
    said = []
    for key, words in (("positive_mean", "mean positive"), ("negative_mean", "negative")):
        value = numbers.finite(histogram.get(key))
        if value is not None:
            said.append(f"{words} {numbers.decimal(value)}")
    overlap = numbers.finite(histogram.get("overlap"))
    if overlap is not None:
        said.append(f"overlap {numbers.percent(overlap)}")
    return ", ".join(said)
