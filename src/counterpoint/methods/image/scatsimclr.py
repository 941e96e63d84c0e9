"""ScatSimCLR: SimCLR on wavelet scattering, regularised by a pretext task on the same network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.pretext_heads import JigsawHead, RotationHead
from counterpoint.errors import DataError
from counterpoint.methods.base import Codes, Fraction, View
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives.cross_entropy import cross_entropy
from counterpoint.views import augment
from counterpoint.views.jigsaw import jigsaw, jigsaw_permutations
from counterpoint.views.pretext import TURNS, Scrambled, Turned

Pretext = Literal["rotation", "jigsaw", "none"]


class ScatSimCLR(SimCLR):
    """``L = L_contrast + lambda L_pretext``: two views, and a task whose answer is known.

    Rotation: each image is seen in all four directions, each under a random view, and a classifier
    on the representation names the turn. Jigsaw: 9 tiles of the plain image pass the encoder one by
    one, and a classifier names their permutation. Both cost further passes of the encoder, four and
    nine an image. Any encoder serves; the paper's are ``scatsimclr8`` to ``scatsimclr45`` on
    wavelet scattering, of which a narrow one is written ``{name: scatsimclr8, width: 32}``. Train
    with whole batches (``drop_last``, the default).

    Args:
        pretext: ``"rotation"``, ``"jigsaw"`` or ``"none"``.
        weight: lambda, from ``pretext_from`` on; 0 before.
        pretext_from: share of training, in [0, 1], from which on the task counts: the paper's 40 of
            1,000 epochs. 0 reproduces the authors' code.
        permutations: of the jigsaw.
        pretext_hidden: units of the classifiers.
        dropout: of the classifiers.
        temperature: divides similarities.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head; the paper has none.

    Source: Kinakh et al., ScatSimCLR: self-supervised contrastive learning with pretext task
    regularization for small-scale datasets, ICCV Workshops 2021, arXiv 2108.13939. The last model
    is kept, not that of the lowest validation loss.
    """

    permutations: Tensor

    def __init__(
        self,
        encoder: Encoder,
        pretext: Pretext = "rotation",
        weight: NonNegativeFloat = 0.3,
        pretext_from: Fraction = 0.04,
        permutations: PositiveInt = 35,
        pretext_hidden: PositiveInt = 512,
        dropout: Fraction = 0.5,
        temperature: PositiveFloat = 0.5,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(
            encoder,
            temperature=temperature,
            outputs=outputs,
            hidden=hidden,
            batch_norm=batch_norm,
        )
        width = encoder.width
        self.classifier: nn.Module = nn.Identity()
        if pretext == "rotation":
            self.classifier = RotationHead(width, pretext_hidden, dropout)
        elif pretext == "jigsaw":
            self.classifier = JigsawHead(width, permutations, pretext_hidden, dropout)
            self.register_buffer("permutations", jigsaw_permutations(permutations))
        self.pretext, self.weight, self.pretext_from = pretext, weight, pretext_from
        self.now = weight if pretext_from == 0 else 0.0

    def views(self, data: Dataset) -> Sequence[View]:
        view = augment(data)
        tasks: list[View] = []
        if self.pretext == "rotation":
            tasks = [Turned(view, turn) for turn in range(TURNS)]
        elif self.pretext == "jigsaw":
            tasks = [Scrambled(len(self.permutations))]
        return [view, view, *tasks]

    def before_step(self, progress: float) -> None:
        self.now = self.weight if progress >= self.pretext_from else 0.0

    def encode(self, batch: Batch) -> Codes:
        first, second, *tasks = batch.views
        codes = {"z1": self.head(self.encoder(first)), "z2": self.head(self.encoder(second))}
        if tasks:
            images = self._parts([_images(task) for task in tasks], batch)
            h: Tensor = self.encoder(images.flatten(0, 1))
            codes["pretext"] = self.classifier(h.view(*images.shape[:2], -1))
        return codes

    def _parts(self, tasks: list[Tensor], batch: Batch) -> Tensor:
        """What the task shows of every image: 4 directions or 9 tiles, ``(B, P, C, S, S)``."""
        if self.pretext == "rotation":
            return torch.stack(tasks, 1)
        return jigsaw(tasks[0], self.permutations[batch.meta[2]["permutation"]])

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        contrast = super().contrast(codes, batch)["loss"]
        if self.pretext == "none":
            return {"loss": contrast}
        logits, labels = codes["pretext"].flatten(0, -2), self._labels(batch)
        pretext = cross_entropy(logits, labels)
        return {
            "loss": contrast + self.now * pretext,
            "contrast": contrast,
            "pretext": pretext,
            "pretext_accuracy": (logits.argmax(1) == labels).float().mean(),
        }

    def _labels(self, batch: Batch) -> Tensor:
        if self.pretext == "jigsaw":
            return batch.meta[2]["permutation"]
        return torch.stack([meta["turn"] for meta in batch.meta[2:]], 1).flatten()


def _images(inputs: Inputs) -> Tensor:
    if not isinstance(inputs, Tensor):
        raise DataError("A pretext task needs images, got named tensors.")
    return inputs
