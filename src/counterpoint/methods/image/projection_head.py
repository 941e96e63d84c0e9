"""What a projection head is for: the loss sees behind it, downstream uses what lies before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.encoders.reweighting_head import FixedReweighting, IdentityHead
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import DataError, SettingError
from counterpoint.methods.base import Codes, Method, View
from counterpoint.methods.image.supcon import two_view_supcon
from counterpoint.objectives import functional as F
from counterpoint.objectives.cross_entropy import cross_entropy
from counterpoint.views import augment

Head = Literal["reweighting", "mlp", "linear", "identity", "none"]
Pretraining = Literal["simclr", "supcon", "classes"]


class ProjectionHead(Method):
    """``u = f(x)`` is used downstream, ``z = g(u)`` is what the loss sees.

    The head of the paper has no parameters: ``z_i = kappa^-i u_i``. Early coordinates of u
    specialise to the training task as they would above a trained head, late ones are almost free.
    `embed` gives u, `project` gives z, of which a fixed head leaves most coordinates at about 0.
    Normalising u by coordinate (batch normalisation, a standardising probe) hides the difference.

    Args:
        head: ``"reweighting"``, the fixed one; ``"mlp"``, a trained one with a ReLU; ``"linear"``;
            ``"identity"``, two square layers that start as the identity, with a learnt threshold
            between them; ``"none"``.
        kappa: of the fixed head, above 0; 1 is no head. ``1 / (1 - kappa^-2)`` coordinates matter
            to the loss: 1.05 for images, 1.2 for classification and 1.5 for SupCon on coarse
            classes.
        pretraining: ``"simclr"``; ``"supcon"`` and ``"classes"``, a linear classifier on z, need
            labels.
        temperature: divides similarities; of the contrastive ones.
        outputs: length of z behind the ``"mlp"`` and ``"linear"`` heads.
        hidden: units of the hidden layer of ``"mlp"``; None takes the encoder's width.
        max_classes: classes that the classifier has room for.

    Source: Xue et al., Investigating the Benefits of Projection Head for Representation Learning,
    ICLR 2024, arXiv 2403.11391.
    """

    modalities = ("images",)

    def __init__(
        self,
        encoder: Encoder,
        head: Head = "reweighting",
        kappa: PositiveFloat = 1.05,
        pretraining: Pretraining = "simclr",
        temperature: PositiveFloat = 0.5,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        max_classes: PositiveInt = 1000,
    ) -> None:
        super().__init__(encoder)
        width = encoder.width
        layers = {"mlp": 2, "linear": 1}
        self.head: nn.Module = nn.Identity()
        if head in layers:
            self.head = projection(
                width, outputs, hidden=hidden, layers=layers[head], batch_norm=False
            )
            width = outputs
        elif head == "reweighting":
            self.head = FixedReweighting(width, kappa)
        elif head == "identity":
            self.head = IdentityHead(width)
        if pretraining == "classes":
            self.classifier = nn.Linear(width, max_classes)
        self.pretraining, self.temperature = pretraining, temperature
        self.max_classes = self.classes = max_classes

    def views(self, data: Dataset) -> Sequence[View]:
        labels = data.train.labels
        if self.pretraining != "simclr" and labels is None:
            raise DataError(
                f"pretraining={self.pretraining!r} needs labels, and {data.name} has none."
            )
        if self.pretraining == "classes" and labels is not None:
            self.classes = int(labels.max()) + 1
            if self.classes > self.max_classes:
                raise SettingError(
                    f"{data.name} has {self.classes} classes; set max_classes, now "
                    f"{self.max_classes}."
                )
        return [augment(data), augment(data)]

    def encode(self, batch: Batch) -> Codes:
        first, second = batch.views
        return {"z1": self.project(first), "z2": self.project(second)}

    def project(self, inputs: Inputs) -> Tensor:
        """``z = g(u)``, ``(B, outputs)``, which only the loss and studies of the head look at."""
        z: Tensor = self.head(self.encoder(inputs))
        return z

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        if self.pretraining == "supcon":
            return {"loss": two_view_supcon(codes, batch, self.temperature)}
        if self.pretraining == "classes":
            return {"loss": self._classification(codes, batch)}
        loss = F.nt_xent(
            codes["z1"],
            codes["z2"],
            temperature=self.temperature,
            across_ranks=is_distributed(),
        )
        return {"loss": loss}

    def _classification(self, codes: Codes, batch: Batch) -> Tensor:
        if batch.labels is None:
            raise DataError("Classification needs labels, and the data have none.")
        logits = self.classifier(torch.cat([codes["z1"], codes["z2"]]))[:, : self.classes]
        return cross_entropy(logits, batch.labels.repeat(2))
