"""CACR: the far positives attract, the near negatives repel, each group by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Fraction, View
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives import functional as F
from counterpoint.views import augment


class CACR(SimCLR):
    """Several views of an image; distant positives weigh more, and so do close negatives.

    There is no softmax over positives and negatives together: weighted attraction and weighted
    repulsion are added. The loss is negative, at least ``-4 beta``.

    Args:
        positives: further views of each image, at least 1; time and memory grow with it. With 1
            there is nothing to weigh among the positives.
        t_positive: sharpness of the weights of positives; 0 weighs them equally.
        t_negative: sharpness of the weights of negatives; 0 weighs them equally. The paper has
            0.9 for CIFAR-10 and 2 elsewhere.
        alpha: weight of the attraction.
        beta: weight of the repulsion.
        tau_plus: share of false negatives, in [0, 1), that the repulsion is rid of.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head.

    Source: Zheng et al., Contrastive Attraction and Contrastive Repulsion for Representation
    Learning, TMLR 2023, arXiv 2105.03746; the form in one batch, without a momentum encoder.
    """

    def __init__(
        self,
        encoder: Encoder,
        positives: PositiveInt = 4,
        t_positive: PositiveFloat = 1.0,
        t_negative: PositiveFloat = 2.0,
        alpha: PositiveFloat = 1.0,
        beta: PositiveFloat = 1.0,
        tau_plus: Fraction = 0.0,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(encoder, outputs=outputs, hidden=hidden, batch_norm=batch_norm)
        if tau_plus == 1:
            raise SettingError("tau_plus must lie in [0, 1), got 1: no negative would be left.")
        self.positives = positives
        self.contrasts = partial(
            F.cacr,
            t_positive=t_positive,
            t_negative=t_negative,
            alpha=alpha,
            beta=beta,
            tau_plus=tau_plus,
        )

    def views(self, data: Dataset) -> Sequence[View]:
        return [augment(data) for _ in range(1 + self.positives)]

    def encode(self, batch: Batch) -> Codes:
        return {
            f"z{number}": self.head(self.encoder(view))
            for number, view in enumerate(batch.views, 1)
        }

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.contrasts(*codes.values(), across_ranks=is_distributed())}
