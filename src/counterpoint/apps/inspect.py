"""What a space of embeddings looks like: scores, geometry, neighbours and a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint import geometry
from counterpoint.apps.thumbnails import thumbnail
from counterpoint.errors import DataError, SettingError, require
from counterpoint.geometry.inputs import class_labels, unit_rows
from counterpoint.probes import PROTOCOL, EvaluationProtocol
from counterpoint.probes.neighbours import neighbours as nearest

Projection = Literal["t-SNE", "PCA"]
Value = TypeVar("Value")
FEWEST_FOR_TSNE = 12
COLLAPSED = 1e-6
LONGEST_TEXT = 400
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def inspect(
    embeddings: Any,
    *,
    labels: Any | None = None,
    names: Sequence[str] | None = None,
    items: Sequence[Any] | None = None,
    views: tuple[Any, Any] | None = None,
    classes: Sequence[str] = (),
    name: str = "",
    course: Sequence[Mapping[str, Any]] = (),
    temperature: float = 0.1,
    anchors: int = 12,
    neighbours: int = 8,
    max_rows: int = 10_000,
    map_points: int = 2_000,
    projection: Projection = "t-SNE",
    protocol: EvaluationProtocol = PROTOCOL,
    seed: int = 0,
) -> dict[str, Any]:
    """Describes embeddings, each divided by its length.

    Args:
        embeddings: ``(N, D)``, N at least 2, finite, no zero row; numpy or torch.
        labels: classes ``(N,)``, -1 where missing; None without labels.
        names: what to call each row; ``row i`` by default.
        items: what was embedded, texts or uint8 images ``(C, H, W)``; shown beside the numbers.
        views: embeddings ``(V, D)`` of two views of the same samples, for alignment and scores.
        classes: class names by label; the label itself by default.
        name: of the data or model, for the title.
        course: points of `counterpoint.training.course.course_point` that training left.
        temperature: of the softmax whose gradient shares are shown.
        anchors: how many rows are shown with their neighbours, spread over the classes.
        neighbours: how many neighbours an anchor is shown with, and count for the confusion.
        max_rows: with more rows than that, a random subset of this size is described.
        map_points: most points on the map.
        projection: of the map. Fewer than 12 rows, or a collapsed space, get PCA.
        protocol: settings of geometry and score histograms.
        seed: of every random choice.

    Returns:
        Plain JSON values; rows are positions in ``embeddings``. ``{"name", "samples": N, "used",
        "dimension": D, "classes": {label: name}, "geometry": as in compare, "scores": {"of_views",
        "of_labels": histogram or None}, "hardness": {"temperature", "fractions",
        "kinds": {transformation: {"pull", "push": cumulative shares}}} of the views or None,
        "course", "spectrum": shares of the singular values, "map":
        {"method", "settings", "rows", "x", "y"}, "neighbours": {"k", "anchors": [{"row", "rows",
        "similarities"}]}, "confusion": {"k", "purity", "chance", "classes", "matrix"} or None,
        "items": {row: {"name", "label", "text" or "picture"}}, "reasons": {name: why it is None},
        "protocol"}``. Purity is the share of neighbours with the anchor's label, the matrix that
        share by label and neighbour's label, chance what labels drawn at random would give.

    Raises:
        DataError: bad embeddings, labels, names or items.
        SettingError: a count below 1, or an unknown projection.
    """
    if min(anchors, neighbours, map_points) < 1 or max_rows < 2:
        raise SettingError("anchors, neighbours and map_points must be at least 1, max_rows 2.")
    if projection not in ("t-SNE", "PCA"):
        raise SettingError(f"projection must be 't-SNE' or 'PCA', got {projection!r}.")
    space = _space(embeddings, labels, {"names": names, "items": items}, max_rows, seed)
    reasons: dict[str, str] = {}
    generator = np.random.default_rng([seed, 1])
    chart = _map(space, map_points, projection, generator, seed)
    around = _neighbours(space, anchors, neighbours, generator)
    seen = {*chart["rows"], *(row for a in around["anchors"] for row in (a["row"], *a["rows"]))}
    return {
        "name": name,
        "samples": len(embeddings),
        "used": len(space.z),
        "dimension": space.z.shape[1],
        "classes": _class_names(space.y, classes),
        "geometry": _geometry(space, views, protocol, reasons),
        "scores": _scores(space, views, protocol, reasons),
        "hardness": _try("hardness", lambda: _hardness(views, temperature, seed), reasons),
        "course": [dict(point) for point in course],
        "spectrum": _spectrum(space.z, protocol),
        "map": chart,
        "neighbours": around,
        "confusion": _try("confusion", lambda: _confusion(space, neighbours), reasons),
        "items": {str(row): _item(row, labels, names, items) for row in sorted(seen)},
        "reasons": reasons,
        "protocol": _settings(protocol, max_rows, map_points, seed),
    }


@dataclass(frozen=True)
class _Space:
    """The described rows: embeddings of length 1, labels, positions in what the caller gave."""

    z: Tensor
    y: Tensor | None
    rows: NDArray[np.int64]


def _space(
    embeddings: Any,
    labels: Any | None,
    beside: Mapping[str, Sequence[Any] | None],
    limit: int,
    seed: int,
) -> _Space:
    z = unit_rows(embeddings, "embeddings").detach().cpu()
    y = None if labels is None else class_labels(labels, len(z), z.device).cpu()
    for what, given in beside.items():
        if given is not None and len(given) != len(z):
            raise DataError(f"{what} has {len(given)} entries for {len(z)} embeddings.")
    rows = _subset(len(z), limit, np.random.default_rng(seed))
    return _Space(z[rows], None if y is None else y[rows], rows)


def _subset(count: int, limit: int, generator: np.random.Generator) -> NDArray[np.int64]:
    if count <= limit:
        return np.arange(count)
    return np.sort(generator.choice(count, limit, replace=False))


def _class_names(y: Tensor | None, classes: Sequence[str]) -> dict[str, str]:
    labels = [] if y is None else torch.unique(y[y >= 0]).tolist()
    return {str(k): str(classes[k]) if k < len(classes) else str(k) for k in labels}


def _geometry(
    space: _Space,
    views: tuple[Any, Any] | None,
    protocol: EvaluationProtocol,
    reasons: dict[str, str],
) -> dict[str, float | None]:
    measures: dict[str, Callable[[], Tensor]] = {
        "alignment": lambda: geometry.alignment(*_given(views, "views"), protocol.alignment_alpha),
        "uniformity": lambda: geometry.uniformity(space.z, protocol.uniformity_t),
        "tolerance": lambda: geometry.tolerance(
            space.z, _given(space.y, "labels"), protocol.tolerance_over
        ),
        "effective_rank": lambda: geometry.effective_rank(space.z, protocol.effective_rank_center),
    }
    found = {key: _try(key, measure, reasons) for key, measure in measures.items()}
    return {key: None if value is None else float(value) for key, value in found.items()}


def _scores(
    space: _Space,
    views: tuple[Any, Any] | None,
    protocol: EvaluationProtocol,
    reasons: dict[str, str],
) -> dict[str, dict[str, Any] | None]:
    draws = {
        "bins": protocol.histogram_bins,
        "pairs": protocol.histogram_pairs,
        "seed": protocol.seed,
    }
    histograms: dict[str, Callable[[], dict[str, Any]]] = {
        "of_views": lambda: geometry.score_histogram(*_given(views, "views"), **draws),
        "of_labels": lambda: geometry.score_histogram(
            space.z, labels=_given(space.y, "labels"), **draws
        ),
    }
    return {key: _try(key, measure, reasons) for key, measure in histograms.items()}


def _hardness(views: tuple[Any, Any] | None, temperature: float, seed: int) -> dict[str, Any]:
    scores = geometry.transformed_scores(*_given(views, "views"), seed=seed)
    kinds = {
        kind: {
            "pull": float(geometry.pull(positive, negative, temperature).mean()),
            "push": geometry.push_of_hardest(negative, temperature, FRACTIONS).tolist(),
        }
        for kind, (positive, negative) in scores.items()
    }
    return {"temperature": temperature, "fractions": list(FRACTIONS), "kinds": kinds}


def _spectrum(z: Tensor, protocol: EvaluationProtocol) -> list[float]:
    values = torch.linalg.svdvals(z - z.mean(dim=0) if protocol.effective_rank_center else z)
    shares: list[float] = (values / values.sum().clamp_min(torch.finfo(z.dtype).tiny)).tolist()
    return shares


def _map(
    space: _Space, limit: int, projection: Projection, generator: np.random.Generator, seed: int
) -> dict[str, Any]:
    rows = _subset(len(space.z), limit, generator)
    points = _principal(space.z[rows].double().numpy())
    spread = float(points[:, 0].std())
    if projection == "PCA" or len(rows) < FEWEST_FOR_TSNE or spread < COLLAPSED:
        flat = points[:, :2] if points.shape[1] > 1 else np.pad(points, ((0, 0), (0, 1)))
        method, settings = "PCA", "the two directions of largest variance"
    else:
        perplexity = min(30.0, (len(rows) - 1) / 3)
        tsne = require("sklearn.manifold", "probe").TSNE(
            perplexity=perplexity, init="pca", random_state=seed
        )
        flat = tsne.fit_transform(points[:, :50].astype(np.float32))
        method, settings = "t-SNE", f"perplexity {perplexity:.3g} on at most 50 main directions"
    return {
        "method": method,
        "settings": settings,
        "rows": space.rows[rows].tolist(),
        "x": flat[:, 0].tolist(),
        "y": flat[:, 1].tolist(),
    }


def _principal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    coordinates: NDArray[np.float64] = u * s
    return coordinates


def _neighbours(
    space: _Space, anchors: int, wanted: int, generator: np.random.Generator
) -> dict[str, Any]:
    k = min(wanted, len(space.z) - 1)
    chosen = _anchors(len(space.z), space.y, anchors, generator)
    scores, found = nearest(space.z[chosen], space.z, k + 1)
    shown = []
    for anchor, rows, similarities in zip(chosen, found, scores, strict=True):
        others = np.flatnonzero(rows != anchor)[:k]
        shown.append(
            {
                "row": int(space.rows[anchor]),
                "rows": space.rows[rows[others]].tolist(),
                "similarities": similarities[others].tolist(),
            }
        )
    return {"k": k, "anchors": shown}


def _anchors(
    count: int, y: Tensor | None, wanted: int, generator: np.random.Generator
) -> list[int]:
    order = generator.permutation(count)
    if y is None:
        return [int(row) for row in order[:wanted]]
    turn: dict[int, int] = {}
    ranked = []
    for row in order.tolist():
        label = int(y[row])
        turn[label] = turn.get(label, 0) + 1
        ranked.append((label < 0, turn[label], label, row))
    return [row for *_, row in sorted(ranked)[:wanted]]


def _confusion(space: _Space, wanted: int) -> dict[str, Any]:
    labels = _given(space.y, "labels")
    known = labels >= 0
    z, labels = space.z[known], labels[known]
    classes, position = torch.unique(labels, return_inverse=True)
    if len(z) < 2:
        raise DataError("fewer than two rows have a label")
    k = min(wanted, len(z) - 1)
    _, found = nearest(z, z, k, exclude_same_row=True)
    seen = position[torch.from_numpy(found)]
    count = len(classes)
    cells = (position[:, None] * count + seen).flatten()
    matrix = torch.bincount(cells, minlength=count * count).view(count, count).double()
    sizes = torch.bincount(position, minlength=count).double()
    return {
        "k": k,
        "purity": float(matrix.diagonal().sum() / matrix.sum()),
        "chance": float((sizes * (sizes - 1)).sum() / (len(z) * (len(z) - 1))),
        "classes": classes.tolist(),
        "matrix": (matrix / matrix.sum(dim=1, keepdim=True)).tolist(),
    }


def _item(
    row: int,
    labels: Any | None,
    names: Sequence[str] | None,
    items: Sequence[Any] | None,
) -> dict[str, Any]:
    label = -1 if labels is None else int(labels[row])
    shown: dict[str, Any] = {
        "name": f"row {row}" if names is None else str(names[row]),
        "label": label if label >= 0 else None,
    }
    if items is None:
        return shown
    item = items[row]
    if isinstance(item, str):
        return shown | {"text": item[:LONGEST_TEXT] + ("…" if len(item) > LONGEST_TEXT else "")}
    return shown | {"picture": thumbnail(item)}


def _settings(
    protocol: EvaluationProtocol, max_rows: int, map_points: int, seed: int
) -> dict[str, Any]:
    return {
        "name": protocol.name,
        "version": protocol.version,
        "alignment_alpha": protocol.alignment_alpha,
        "uniformity_t": protocol.uniformity_t,
        "tolerance_over": protocol.tolerance_over,
        "effective_rank_center": protocol.effective_rank_center,
        "max_rows": max_rows,
        "map_points": map_points,
        "seed": seed,
    }


def _given(value: Value | None, what: str) -> Value:
    if value is None:
        raise DataError(f"no {what} were given")
    return value


def _try(name: str, measure: Callable[[], Value], reasons: dict[str, str]) -> Value | None:
    try:
        return measure()
    except DataError as error:
        reasons[name] = str(error)
        return None
