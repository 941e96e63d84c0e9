"""Dense probe: what a simple classifier makes of the places of frozen feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from counterpoint.errors import DataError, SettingError
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.probes.knn import KNN
from counterpoint.probes.logistic import Linear

UNKNOWN = -1


@dataclass(frozen=True)
class Dense:
    """One classifier of all places of an image, learnt from the cells at each place.

    A map ``(N, C, H, W)`` with labels ``(N, h, w)`` gives ``N h w`` rows: each is the mean of the
    cells at that place (of a single cell where h, w = H, W). Places labelled -1 are left out.

    Args:
        classifier: ``"linear"``, see `counterpoint.probes.Linear`, or ``"knn"``, see
            `counterpoint.probes.KNN`.
        max_rows: most places the classifier learns from; more are thinned to a random subset.
        seed: of the subset.

    Source: linear evaluation of dense features, as with PixPro, Xie et al. 2021, arXiv 2011.10043
    (there by fine-tuned detection and segmentation).
    """

    name: ClassVar[str] = "dense"
    version: ClassVar[str] = "1"
    classifier: Literal["linear", "knn"] = "linear"
    max_rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.classifier not in ("linear", "knn") or self.max_rows < 2:
            raise SettingError(
                "classifier must be 'linear' or 'knn' and max_rows at least 2, not "
                f"{self.classifier!r}, {self.max_rows}."
            )

    def score(self, train_maps: Any, train_y: Any, test_maps: Any, test_y: Any) -> float:
        """Share of held-out places classified rightly.

        Args:
            train_maps: feature maps ``(N, C, H, W)``, finite, numpy or torch.
            train_y: classes of their places ``(N, h, w)``, whole numbers from 0, -1 where unknown;
                h divides H, w divides W.
            test_maps: ``(M, C, H, W)``.
            test_y: ``(M, h, w)``.

        Raises:
            DataError: maps or labels that do not fit, NaN, no labelled place, a single class.
        """
        train, y = places(train_maps, train_y, "train")
        test, truth = places(test_maps, test_y, "test")
        if len(train) > self.max_rows:
            kept = np.random.default_rng(self.seed).permutation(len(train))[: self.max_rows]
            train, y = train[kept], y[kept]
        probe = Linear() if self.classifier == "linear" else KNN()
        return probe.score(train, y, test, truth)


def places(maps: Any, labels: Any, name: str) -> tuple[Floats, Ints]:
    """Labelled places of feature maps as rows ``(R, C)``, and their classes ``(R,)``.

    Args:
        maps: ``(N, C, H, W)``.
        labels: ``(N, h, w)``, -1 where unknown; h divides H, w divides W.
        name: what errors call them.

    Raises:
        DataError: shapes that do not fit, or no labelled place.
    """
    x = torch.as_tensor(maps).detach().cpu().double()
    y = torch.as_tensor(labels).cpu()
    fits = x.dim() == 4 and y.dim() == 3 and len(x) == len(y) and y.numel() > 0
    if not fits or x.shape[2] % y.shape[1] or x.shape[3] % y.shape[2]:
        raise DataError(
            f"{name}_y must be the classes (N, h, w) of places of {name}_maps (N, C, H, W), with h "
            f"and w dividing H and W; got {tuple(y.shape)} for {tuple(x.shape)}."
        )
    rows = adaptive_avg_pool2d(x, (y.shape[1], y.shape[2])).permute(0, 2, 3, 1).flatten(0, 2)
    known = y.flatten() != UNKNOWN
    if not known.any():
        raise DataError(f"{name}_y names no class at any place.")
    return rows[known].numpy(), y.flatten()[known].numpy()
