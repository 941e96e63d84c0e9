"""Probes outside the evaluation protocol, on the held-out samples of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from counterpoint.apps.model import Model
from counterpoint.data.dataset import Dataset, Split
from counterpoint.encoders.feature_map import feature_map
from counterpoint.errors import DataError, SettingError, unknown_name
from counterpoint.probes.dense import Dense
from counterpoint.probes.few_shot import FewShot
from counterpoint.progress import OnProgress

CHUNK = 256

Probe = TypeVar("Probe", FewShot, Dense)


def few_shot(
    model: Model,
    data: Dataset,
    settings: Mapping[str, Any],
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Episodes of the held-out samples, see `counterpoint.probes.few_shot.FewShot.measure`.

    Args:
        model: embeds them.
        data: with labels; held-out samples without one take no part.
        settings: of `counterpoint.probes.few_shot.FewShot` by name, such as ``shots``.
        on_progress: told how far embedding is.

    Raises:
        SettingError: an unknown setting, or one out of range.
        DataError: no labels, or too few samples a class.
    """
    probe = _probe(FewShot, settings)
    held = _labelled(data.test, data.name)
    z = model.embed(held.items, progress=on_progress)
    return {"data": data.describe(), **probe.measure(z, held.labels)}


def dense(model: Model, data: Dataset, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every cell of the feature map is asked for the class of its image.

    Args:
        model: of images, whose encoder has a feature map.
        data: with labels.
        settings: of `counterpoint.probes.dense.Dense` by name, such as ``classifier``.

    Returns:
        ``{"data", "probe", "version", "settings", "cells": [height, width], "accuracy"}``.

    Raises:
        SettingError: an unknown setting, or an encoder without a feature map.
        DataError: no labels.
    """
    probe = _probe(Dense, settings)
    parts = [_labelled(split, data.name) for split in (data.train, data.test)]
    (maps, y), (test_maps, test_y) = ((_maps(model, part), _cells(part)) for part in parts)
    cells = list(maps.shape[2:])
    accuracy = probe.score(maps, y.expand(-1, *cells), test_maps, test_y.expand(-1, *cells))
    return {
        "data": data.describe(),
        "probe": probe.name,
        "version": probe.version,
        "settings": asdict(probe),
        "cells": cells,
        "accuracy": accuracy,
    }


def _probe(kind: type[Probe], settings: Mapping[str, Any]) -> Probe:
    defaults = {field.name: field.default for field in fields(kind)}
    for name, value in settings.items():
        if name not in defaults:
            raise unknown_name(f"setting of the {kind.name} probe:", name, defaults)
        right = type(defaults[name])
        if not isinstance(value, (int, float) if right is float else right):
            raise SettingError(
                f"{name} of the {kind.name} probe must be {right.__name__}: {value!r}."
            )
    return kind(**settings)


def _labelled(split: Split, name: str) -> Split:
    if split.labels is None or not bool((split.labels >= 0).any()):
        raise DataError(f"This probe needs labels, and {name} has none.")
    return split.take((split.labels >= 0).nonzero()[:, 0])


def _cells(split: Split) -> Tensor:
    """The class of every image, ``(N, 1, 1)``."""
    assert split.labels is not None
    return split.labels[:, None, None]


@torch.no_grad()
def _maps(model: Model, split: Split) -> Tensor:
    """Feature maps ``(N, C, H, W)``."""
    encoder = model.encoder.eval()
    device = next(encoder.parameters()).device
    found = []
    for start in range(0, len(split), CHUNK):
        pixels = split.gather(range(start, min(start + CHUNK, len(split))))
        found.append(feature_map(encoder, pixels.to(device).float() / 255).cpu())
    return torch.cat(found)
