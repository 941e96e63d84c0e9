"""SupCon: samples of one class are positives of each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import DataError
from counterpoint.methods.base import Codes, Method, View
from counterpoint.objectives import functional as F
from counterpoint.views import Same, augment


class SupCon(Method):
    """Two views of every sample; all views of samples of the same class attract.

    Of texts the two views are the same words under different dropout.

    A sample whose label is missing has only its own other view as positive.

    Args:
        temperature: divides similarities.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head.

    Source: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, arXiv 2004.11362, Eq. 2.
    """

    modalities = ("images", "text")
    needs_labels = True

    def __init__(
        self,
        encoder: Encoder,
        temperature: PositiveFloat = 0.1,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(encoder)
        self.head = projection(encoder.width, outputs, hidden=hidden, batch_norm=batch_norm)
        self.temperature = temperature

    def views(self, data: Dataset) -> Sequence[View]:
        view: View = augment(data) if data.modality == "images" else Same()
        return [view, view]

    def encode(self, batch: Batch) -> Codes:
        first, second = batch.views
        return {"z1": self.head(self.encoder(first)), "z2": self.head(self.encoder(second))}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        return {"loss": two_view_supcon(codes, batch, self.temperature)}


def two_view_supcon(codes: Codes, batch: Batch, temperature: float) -> Tensor:
    """SupCon of the two views ``z1`` and ``z2``; without a label the other view is the positive."""
    if batch.labels is None:
        raise DataError("supcon needs labels, and the data have none.")
    alone = -2 - batch.index
    classes = torch.where(batch.labels >= 0, batch.labels, alone)
    return F.supcon(
        torch.cat([codes["z1"], codes["z2"]]),
        torch.cat([classes, classes]),
        temperature=temperature,
        across_ranks=is_distributed(),
    )
