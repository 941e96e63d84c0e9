"""MLCD: every image has several clusters as its classes, drawn and pushed about a boundary at 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.engine.ranks import from_first_rank, gather_rows
from counterpoint.errors import DataError, SettingError
from counterpoint.methods.base import Codes, Fraction, Method, View
from counterpoint.objectives import functional as F
from counterpoint.pairs.classes import nearest_classes, sample_classes
from counterpoint.pairs.cluster_labels import cluster_centres, renumbered
from counterpoint.views import augment

SIDE, COMPONENTS = 16, 64
CHUNK = 256
_LABELS = "labels"


class MLCD(Method):
    """Images are clustered; an encoder learns which clusters are nearest, several an image.

    The classes of an image are the centres of k-means nearest to its frozen features; their
    vectors w are learnt, apart from the centres. Positive classes do not compete with each other,
    and ``cos(h, w) = 0`` is the boundary between positive and negative ones. A part of the
    negative classes is drawn at each step. The class vectors are of no use after training.

    Args:
        objective: ``"mlcd"``, or ``"multi_label"``, the loss without a fixed boundary.
        clusters: centres of a clustering, at most as many as training images; a million in the
            paper, for 400 million images.
        positives: classes of an image in each clustering.
        clusterings: k-means from so many seeds, each with class vectors of its own; 1 in the paper.
        features: what is clustered first: ``"pixels"``, principal components of the small image,
            or ``"encoder"``, the representation at the start of training, for an encoder that is
            pretrained, as CLIP is in the paper.
        refresh: epochs after which the present representation is clustered anew, new clusters
            keeping the numbers of the old ones that they resemble; 0 never, as in the paper.
        rate: share of all classes that takes part in a step, the batch's own always among them.
        scale: multiplies cosines, the inverse of a temperature; 16 to 64.

    Source: An et al., Multi-label Cluster Discrimination for Visual Representation Learning, ECCV
    2024, arXiv 2407.17331; scale and drawing of classes as in the group's earlier code.
    """

    modalities = ("images",)
    labels: Tensor

    def __init__(
        self,
        encoder: Encoder,
        objective: Literal["mlcd", "multi_label"] = "mlcd",
        clusters: PositiveInt = 100,
        positives: PositiveInt = 8,
        clusterings: PositiveInt = 1,
        features: Literal["pixels", "encoder"] = "pixels",
        refresh: NonNegativeInt = 0,
        rate: Fraction = 0.1,
        scale: PositiveFloat = 16.0,
    ) -> None:
        super().__init__(encoder)
        if positives >= clusters:
            raise SettingError(
                f"positives must be below clusters, or no class is negative; got {positives} "
                f"and {clusters}."
            )
        if rate == 0:
            raise SettingError("rate must be above 0: a step needs classes.")
        self.clusters, self.positives, self.clusterings = clusters, positives, clusterings
        self.features, self.refresh, self.rate, self.scale = features, refresh, rate, scale
        self.objective = F.mlcd if objective == "mlcd" else F.multi_label
        self.classes = nn.Parameter(0.01 * torch.randn(clusterings * clusters, encoder.width))
        self.register_buffer(_LABELS, torch.empty(0, clusterings * positives, dtype=torch.int64))
        self.draw = 0

    def views(self, data: Dataset) -> Sequence[View]:
        return [augment(data)]

    def begin_epoch(self, epoch: int, data: Dataset) -> None:
        if len(self.labels) != len(data.train):
            found = self._pixels(data) if self.features == "pixels" else self._represented(data)
            self.labels = self._clustered(found)
        elif self.refresh and epoch % self.refresh == 0 and epoch:
            self.labels = self._clustered(self._represented(data), earlier=self.labels)

    def before_step(self, progress: float) -> None:
        number = torch.randint(2**31, (1,), device=self.classes.device)
        self.draw = int(from_first_rank(number))

    def encode(self, batch: Batch) -> Codes:
        return {"h": self.encoder(batch.views[0])}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        if not len(self.labels):
            raise DataError("There are no clusters yet: begin_epoch makes them from the data.")
        labels = self.labels[batch.index]
        order = torch.randperm(
            len(self.classes), generator=torch.Generator().manual_seed(self.draw)
        )
        classes = sample_classes(
            gather_rows(labels), len(self.classes), self.rate, order=order.to(labels.device)
        )
        loss = self.objective(codes["h"], self.classes, labels, 1 / self.scale, classes=classes)
        return {"loss": loss}

    def _clustered(self, features: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Classes of every image in every clustering, ``(N, clusterings * positives)``."""
        found = []
        for number in range(self.clusterings):
            centres = cluster_centres(features, self.clusters, seed=number)
            labels = nearest_classes(features, centres, self.positives)
            first = number * self.clusters
            if earlier is not None:
                part = slice(number * self.positives, (number + 1) * self.positives)
                labels = renumbered(labels, earlier[:, part] - first, self.clusters)
            found.append(labels + first)
        return from_first_rank(torch.cat(found, 1).to(self.classes.device))

    def _pixels(self, data: Dataset) -> Tensor:
        """Images at 16 x 16 or less, in their first 64 principal components."""
        side = min(SIDE, data.size)
        small = torch.cat([adaptive_avg_pool2d(x, side).flatten(1) for x in _images(data)])
        centred = (small - small.mean(0)).double()
        _, directions = torch.linalg.eigh(centred.T @ centred)
        components: Tensor = centred @ directions[:, -COMPONENTS:]
        return components.float()

    @torch.no_grad()
    def _represented(self, data: Dataset) -> Tensor:
        """Representations of the images as they are, less their mean."""
        was_training = self.encoder.training
        self.encoder.eval()
        device = self.classes.device
        h = torch.cat([self.encoder(images.to(device)).float() for images in _images(data)])
        self.encoder.train(was_training)
        return h - h.mean(0)

    def _load_from_state_dict(self, state_dict: dict[str, Any], *args: Any) -> None:
        """A saved state says of how many images it is."""
        saved = state_dict.get(f"{args[0]}{_LABELS}")
        if saved is not None:
            self.labels = torch.empty_like(saved, device=self.classes.device)
        super()._load_from_state_dict(state_dict, *args)


def _images(data: Dataset) -> Iterator[Tensor]:
    """The training images as they are, float in [0, 1], part by part."""
    count = len(data.train)
    for start in range(0, count, CHUNK):
        yield data.train.gather(range(start, min(start + CHUNK, count))).float() / 255
