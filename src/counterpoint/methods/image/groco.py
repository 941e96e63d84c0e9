"""GroCo: all views of an image rank above its hardest negatives, by soft sorting."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Method, View
from counterpoint.objectives import functional as F
from counterpoint.objectives.groco import group_gap
from counterpoint.views import augment


class GroCo(Method):
    """Several views; an anchor's positives shall all be more similar than its negatives.

    The loss counts softly how many similarities stand in the wrong group. Negatives are of the
    anchor's own view. The head ends in batch normalisation, without which a cold start stays
    collapsed. The part ``gap`` is above 0 where the order holds.

    Args:
        positives: further views of each image, at least 1; time and memory grow with it.
        hardest: negatives kept for each anchor; all of them in a smaller batch.
        steepness: of the soft comparisons, above 0.
        gain: multiplies the loss, whose gradients are small; the authors have this factor in
            their learning rate.
        outputs: length of the embedding; 2048 in the paper, for ResNet-50.
        hidden: units of the head's two hidden layers; None takes the encoder's width.

    Source: Shvetsova et al., Learning by Sorting: Self-supervised Learning with Group Ordering
    Constraints, ICCV 2023, arXiv 2301.02009.
    """

    modalities = ("images",)

    def __init__(
        self,
        encoder: Encoder,
        positives: PositiveInt = 1,
        hardest: PositiveInt = 10,
        steepness: PositiveFloat = 1.0,
        gain: PositiveFloat = 32.0,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
    ) -> None:
        super().__init__(encoder)
        if positives < 1 or hardest < 1:
            raise SettingError(
                f"positives and hardest must be at least 1, got {positives} and {hardest}."
            )
        if not steepness > 0 or not gain > 0:
            raise SettingError(f"steepness and gain must be above 0, got {steepness} and {gain}.")
        self.head = projection(encoder.width, outputs, hidden=hidden, layers=3)
        self.head.append(nn.BatchNorm1d(outputs, affine=False))
        self.positives, self.hardest = positives, hardest
        self.steepness, self.gain = steepness, gain

    def views(self, data: Dataset) -> Sequence[View]:
        return [augment(data) for _ in range(1 + self.positives)]

    def encode(self, batch: Batch) -> Codes:
        return {
            f"z{number}": self.head(self.encoder(view))
            for number, view in enumerate(batch.views, 1)
        }

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        loss = F.groco(
            *codes.values(),
            hardest=self.hardest,
            steepness=self.steepness,
            across_ranks=is_distributed(),
        )
        gap = group_gap(*codes.values(), hardest=self.hardest)["gap"]
        return {"loss": self.gain * loss, "gap": gap}
