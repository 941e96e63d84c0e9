"""HYDRA: any two classes are positives of each other, where a learnt gate is open."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.encoders.pair_gate import OpenGate, PairGate
from counterpoint.engine.ranks import is_distributed, rows_by_rank
from counterpoint.errors import DataError, SettingError
from counterpoint.methods.base import Codes, Method, View
from counterpoint.objectives import functional as F
from counterpoint.objectives.temperature import Temperature
from counterpoint.pairs.partner_classes import Pairing, partner_classes
from counterpoint.views import augment

TOO_FEW = (
    "hydra left out steps with fewer than 2 labelled samples (on each device); label more of the "
    "data, or set a larger batch_size."
)


class Hydra(Method):
    """Each sample is drawn to the samples of a random partner class, in gated dimensions.

    The gate is learnt from the two classes by the loss itself. Labels are needed in training
    only. Samples without a label take no part; a step in which a process has fewer than two with
    one is left out, its loss 0. A partner class that is absent from the batch gives its anchors a
    loss of 0.

    Args:
        pairing: ``"arbitrary"``, the class of a random sample of the batch; ``"distinct"``, any
            other class; ``"identical"``, the own class, the supervised baseline.
        gated: False leaves all dimensions open, the baseline.
        temperature: divides similarities; learnt, this is the start.
        renormalise: cosine after gating, as in the paper's text, instead of before it, as in the
            authors' code.
        repulsion: start of the learnt weight of a repulsion in the full space; None for none. The
            authors start it at 0.5.
        max_classes: classes that the gate has room for.
        label_width: length of the embedding of a class.
        gate_hidden: units of the gate's hidden layer.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer, 2048 in the paper; None takes the encoder's
            width.

    Source: Rethinking Positive Pairs in Contrastive Learning, arXiv 2410.18200; authors' code.
    """

    modalities = ("images",)
    needs_labels = True

    def __init__(
        self,
        encoder: Encoder,
        pairing: Pairing = "arbitrary",
        gated: bool = True,
        temperature: PositiveFloat = 0.1,
        renormalise: bool = False,
        repulsion: float | None = None,
        max_classes: PositiveInt = 1000,
        label_width: PositiveInt = 512,
        gate_hidden: PositiveInt = 1024,
        outputs: PositiveInt = 256,
        hidden: PositiveInt | None = None,
    ) -> None:
        super().__init__(encoder)
        if max_classes < 2:
            raise SettingError(f"max_classes must be at least 2, got {max_classes}.")
        self.head = projection(encoder.width, outputs, hidden=hidden).append(nn.LayerNorm(outputs))
        self.gate: nn.Module = OpenGate(outputs)
        if gated:
            self.gate = PairGate(max_classes, outputs, width=label_width, hidden=gate_hidden)
        self.temperature = Temperature(temperature, lowest=min(0.01, temperature))
        self.repulsion = None if repulsion is None else nn.Parameter(torch.tensor(repulsion))
        self.pairing, self.renormalise, self.max_classes = pairing, renormalise, max_classes
        self.classes, self.draw = max_classes, 0

    def views(self, data: Dataset) -> Sequence[View]:
        labels = data.train.labels
        self.classes = 0 if labels is None else int(labels.max()) + 1
        if self.classes > self.max_classes:
            raise SettingError(
                f"{data.name} has {self.classes} classes; set max_classes, now {self.max_classes}."
            )
        return [augment(data), augment(data)]

    def before_step(self, progress: float) -> None:
        self.draw = int(torch.randint(2**31, ()))

    def encode(self, batch: Batch) -> Codes:
        first, second = batch.views
        return {"z": self.head(self.encoder(first)), "k": self.head(self.encoder(second))}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        if batch.labels is None:
            raise DataError("hydra needs labels, and the data have none.")
        known = batch.labels >= 0
        anchors, keys, labels = codes["z"][known], codes["k"][known], batch.labels[known]
        if self._too_few(labels):
            warnings.warn(TOO_FEW, stacklevel=2)
            nothing = 0 * sum(p.sum() for p in self.parameters() if p.requires_grad)
            return {"loss": torch.as_tensor(nothing), "open": anchors.new_tensor(0.0)}
        generator = torch.Generator().manual_seed(self.draw)
        partners = partner_classes(labels, self.pairing, classes=self.classes, generator=generator)
        gate = self.gate(labels, partners)
        loss = F.hydra(
            anchors,
            keys,
            gate,
            labels,
            partners,
            self.temperature(),
            repulsion=self.repulsion,
            renormalise=self.renormalise,
            across_ranks=is_distributed(),
        )
        return {"loss": loss, "open": gate.detach().mean()}

    @staticmethod
    def _too_few(labels: Tensor) -> bool:
        """Whether some process has fewer than 2 labels, which its gate's batch norm needs."""
        return min(rows_by_rank(len(labels), labels.device)) < 2
