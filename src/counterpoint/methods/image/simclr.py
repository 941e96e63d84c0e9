"""SimCLR: two random views of an image find each other among the views of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Method, View
from counterpoint.objectives import registry
from counterpoint.views import augment

_FITTING = ("two views", "pairs")


class SimCLR(Method):
    """Two views, one encoder, a projection head that is left off after training.

    ``z_k = g(f(view_k(x)))``; the objective contrasts ``z_1`` and ``z_2``. With several processes
    the negatives are those of the global batch.

    Args:
        objective: any objective of two views, such as ``"nt_xent"``, ``"dcl"``, ``"dclw"``; one
            of pairs, such as ``"info_nce"`` or ``"hard_contrastive"``, is taken both ways.
        temperature: divides similarities; 0.1 is the paper's best on ImageNet, 0.5 at small
            batches on CIFAR-10.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        layers: linear layers of the head.
        batch_norm: batch normalisation in the head.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
    ICML 2020, arXiv 2002.05709, Section 2.1 and Eq. 1.
    """

    modalities = ("images",)

    def __init__(
        self,
        encoder: Encoder,
        objective: str = "nt_xent",
        temperature: PositiveFloat = 0.1,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        layers: PositiveInt = 2,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(encoder)
        self.head = projection(
            encoder.width, outputs, hidden=hidden, layers=layers, batch_norm=batch_norm
        )
        self.objective = _two_view_objective(objective)
        self.temperature = temperature

    def views(self, data: Dataset) -> Sequence[View]:
        return [augment(data), augment(data)]

    def encode(self, batch: Batch) -> Codes:
        first, second = batch.views
        return {"z1": self.head(self.encoder(first)), "z2": self.head(self.encoder(second))}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        settings = {"temperature": self.temperature, "across_ranks": is_distributed()}
        first, second = codes["z1"], codes["z2"]
        loss = self.objective.function(first, second, **settings)
        if self.objective.inputs == "pairs":
            loss = (loss + self.objective.function(second, first, **settings)) / 2
        return {"loss": loss}


def _two_view_objective(name: str) -> registry.Objective:
    found = registry.find(name)
    if found.inputs not in _FITTING:
        names = [o.name for o in registry.registered() if o.inputs in _FITTING]
        raise SettingError(
            f"objective={name!r} takes {found.inputs}, two views are needed here. "
            f"Fitting: {', '.join(names)}."
        )
    return found
