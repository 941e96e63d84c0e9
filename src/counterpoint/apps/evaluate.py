"""Embeddings in, numbers out: probes, geometry and curves under one protocol."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from counterpoint import geometry
from counterpoint.errors import DataError
from counterpoint.geometry.inputs import class_labels, rows
from counterpoint.probes import (
    KNN,
    PROTOCOL,
    EvaluationProtocol,
    Linear,
    NaiveBayes,
    two_regimes,
)

Value = TypeVar("Value")
Views = tuple[Any, Any] | None


def evaluate(
    train_z: Any,
    train_y: Any | None,
    test_z: Any,
    test_y: Any | None,
    *,
    views: Views = None,
    protocol: EvaluationProtocol = PROTOCOL,
) -> dict[str, Any]:
    """Evaluates frozen embeddings.

    Probes learn from the training rows and are scored on the test rows. Geometry is that of the
    test rows, each divided by its length. What cannot be measured is None, with the reason.

    Args:
        train_z: embeddings ``(N, D)``, finite, numpy or torch.
        train_y: their classes ``(N,)``, -1 where missing (such rows are left out of the probes);
            None without labels.
        test_z: embeddings ``(M, D)`` of held-out samples.
        test_y: their classes ``(M,)``, likewise.
        views: embeddings ``(V, D)`` of two random views of the same held-out samples, for alignment
            and the score histogram.
        protocol: every setting.

    Returns:
        Plain JSON values: ``{"protocol": ..., "probes": {"knn", "linear", "naive_bayes": accuracy
        in [0, 1] or None}, "geometry": {"alignment", "uniformity", "tolerance", "effective_rank":
        float or None}, "curves": {"two_regimes", "scores_of_views", "scores_of_labels": dict or
        None}, "reasons": {name: why it is None}}``.

    Raises:
        DataError: embeddings that are not finite matrices of one width, or labels that do not fit.
    """
    train, test = rows(train_z, "train_z", 1).detach(), rows(test_z, "test_z", 1).detach()
    if train.shape[1] != test.shape[1]:
        raise DataError(f"train_z has {train.shape[1]} columns, test_z {test.shape[1]}.")
    known_train = _labelled(train, train_y, "train_y")
    known_test = _labelled(test, test_y, "test_y")
    reasons: dict[str, str] = {}
    return {
        "protocol": protocol.describe(),
        "probes": _probes(known_train, known_test, protocol, reasons),
        "geometry": _geometry(test, known_test, views, protocol, reasons),
        "curves": _curves(known_train, known_test, views, protocol, reasons),
        "reasons": reasons,
    }


Labelled = tuple[Tensor, Tensor] | None
"""Embeddings and classes of the rows that have one; None without any."""


def _probes(
    train: Labelled, test: Labelled, protocol: EvaluationProtocol, reasons: dict[str, str]
) -> dict[str, float | None]:
    def score(probe: KNN | Linear | NaiveBayes) -> float:
        (z, y), (test_z, test_y) = _probe_rows(train, test, protocol)
        return probe.score(z, y, test_z, test_y)

    probes = (protocol.knn, protocol.linear, protocol.naive_bayes)
    return {probe.name: _try(probe.name, partial(score, probe), reasons) for probe in probes}


def _geometry(
    test: Tensor,
    known: Labelled,
    views: Views,
    protocol: EvaluationProtocol,
    reasons: dict[str, str],
) -> dict[str, float | None]:
    limit, seed = protocol.max_geometry, protocol.seed
    z = test[_kept(len(test), limit, seed)]

    def tolerance() -> Tensor:
        labelled, y = _thin(_needed(known), limit, seed)
        return geometry.tolerance(labelled, y, protocol.tolerance_over)

    measures: dict[str, Callable[[], Tensor]] = {
        "alignment": lambda: geometry.alignment(*_pair(views), alpha=protocol.alignment_alpha),
        "uniformity": lambda: geometry.uniformity(z, protocol.uniformity_t),
        "tolerance": tolerance,
        "effective_rank": lambda: geometry.effective_rank(z, protocol.effective_rank_center),
    }
    return {
        name: _try(name, lambda measure=measure: float(measure()), reasons)  # type: ignore[misc]
        for name, measure in measures.items()
    }


def _curves(
    train: Labelled,
    test: Labelled,
    views: Views,
    protocol: EvaluationProtocol,
    reasons: dict[str, str],
) -> dict[str, dict[str, Any] | None]:
    def regimes() -> dict[str, Any]:
        if protocol.curve_repeats == 0:
            raise DataError("the protocol leaves this curve out")
        (z, y), (test_z, test_y) = _probe_rows(train, test, protocol)
        return two_regimes(
            z,
            y,
            test_z,
            test_y,
            repeats=protocol.curve_repeats,
            seed=protocol.seed,
            max_m=protocol.curve_max_m,
            naive_bayes=protocol.naive_bayes,
            logistic=protocol.logistic,
        )

    histogram = partial(
        geometry.score_histogram,
        bins=protocol.histogram_bins,
        pairs=protocol.histogram_pairs,
        seed=protocol.seed,
    )

    def of_labels() -> dict[str, Any]:
        z, y = _needed(test)
        return histogram(z, labels=y)

    curves: dict[str, Callable[[], dict[str, Any]]] = {
        "two_regimes": regimes,
        "scores_of_views": lambda: histogram(*_pair(views)),
        "scores_of_labels": of_labels,
    }
    return {name: _try(name, measure, reasons) for name, measure in curves.items()}


def _try(name: str, measure: Callable[[], Value], reasons: dict[str, str]) -> Value | None:
    try:
        return measure()
    except DataError as error:
        reasons[name] = str(error)
        return None


def _needed(rows: Labelled) -> tuple[Tensor, Tensor]:
    if rows is None:
        raise DataError("no labels")
    return rows


def _pair(views: Views) -> tuple[Any, Any]:
    if views is None:
        raise DataError("no embeddings of two views were given")
    return views


def _labelled(z: Tensor, y: Any | None, name: str) -> Labelled:
    if y is None:
        return None
    labels = class_labels(y, len(z), z.device, name)
    known = labels >= 0
    return (z[known], labels[known]) if known.any() else None


def _probe_rows(
    train: Labelled, test: Labelled, protocol: EvaluationProtocol
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (
        _thin(_needed(train), protocol.max_train, protocol.seed),
        _thin(_needed(test), protocol.max_test, protocol.seed),
    )


def _thin(rows: tuple[Tensor, Tensor], limit: int, seed: int) -> tuple[Tensor, Tensor]:
    kept = _kept(len(rows[0]), limit, seed)
    return rows[0][kept], rows[1][kept]


def _kept(count: int, limit: int, seed: int) -> Tensor:
    """Positions of all rows, or of a random ``limit`` of them, rising."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[:limit].sort().values
