"""SimCSE: a sentence encoded twice with different dropout is its own positive."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PositiveFloat
from torch import Tensor, nn

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.engine.ranks import is_distributed
from counterpoint.methods.base import Codes, Method, View
from counterpoint.objectives import functional as F
from counterpoint.views import Same


class SimCSE(Method):
    """The encoder's own dropout makes the two views; other sentences of the batch are negatives.

    The head ``tanh(W h)`` is used in training only.

    Args:
        temperature: divides similarities.
        head: False contrasts the representations themselves.

    Source: Gao et al., SimCSE: Simple Contrastive Learning of Sentence Embeddings, EMNLP 2021,
    arXiv 2104.08821, Eq. 4 and Section 6.3 (head at training only).
    """

    modalities = ("text",)

    def __init__(
        self, encoder: Encoder, temperature: PositiveFloat = 0.05, head: bool = True
    ) -> None:
        super().__init__(encoder)
        width = encoder.width
        self.head = nn.Sequential(nn.Linear(width, width), nn.Tanh()) if head else nn.Identity()
        self.temperature = temperature

    def views(self, data: Dataset) -> Sequence[View]:
        return [Same(), Same()]

    def encode(self, batch: Batch) -> Codes:
        first, second = batch.views
        return {"z1": self.head(self.encoder(first)), "z2": self.head(self.encoder(second))}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        loss = F.info_nce(
            codes["z1"],
            codes["z2"],
            temperature=self.temperature,
            across_ranks=is_distributed(),
        )
        return {"loss": loss}
