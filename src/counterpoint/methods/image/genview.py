"""GenView: one of the two views shows a generated variant of the image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.curation.genview import (
    foreground_direction,
    foreground_ratio,
    foreground_threshold,
    noise_levels,
    pair_quality,
    quality_weights,
)
from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.generated import generated_images
from counterpoint.data.items import ImageStack
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.generator import HOW, Generator
from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.engine.ranks import gather_rows, is_distributed
from counterpoint.errors import DataError, SettingError
from counterpoint.methods.base import Codes, Fraction, View
from counterpoint.methods.image.moco import Host, negatives
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives import functional as F
from counterpoint.pairs.queue import MemoryQueue
from counterpoint.progress import OnProgress, Progress
from counterpoint.views import augment
from counterpoint.views.partner import SLOT, PartnerView
from counterpoint.views.randomness import sample_seeds

_LOOKED_AT = 10_000
_CHUNK = 256


class GenView(SimCLR):
    """``mean_i w_i l_i``: a host's loss l between a view of x and one of its variant G(x).

    On SimCLR l is InfoNCE both ways, the other rows of the batch being negatives; on MoCo the query
    finds its key among a queue of old ones, which the weights leave as they are.

    Before training every image gets one variant: noise up to a level is put on it and taken away
    by the generator, more where the object fills the picture, none where it is small (then the
    variant is the image itself and the pair that of the host). The slot that the variant takes is
    drawn for each sample; both views are augmented alike. ``w = B softmax(gamma q)`` over the batch
    of a process, ``q = cos(foregrounds) - cos(backgrounds)`` of the two augmented views; no
    gradient goes there.

    Foreground is told by the first principal direction of the generator's own features, one token
    a cell of its narrowest block, in place of CLIP's; the paper puts noise on a CLIP embedding of
    the image, here it is put on the image. Data without variants train as the host with weights.

    Args:
        host: ``"simclr"`` or ``"moco"``.
        generator: folder of a diffusers pipeline or of a run of ``diffusion``; None trains a small
            one first.
        gamma: sharpness of the weights; 0 weighs all pairs alike.
        foreground: share of all tokens that count as foreground.
        flip: takes the other sign of the foreground direction; otherwise the centres of images
            score higher than their borders.
        constant: one noise level out of 1000 for all images; None adapts it: 0, 100, 200, 300, 400
            over five equal ranges of the share of foreground.
        sampling: denoising steps from full noise; a variant takes its level's part of them.
        temperature: divides similarities.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head; MoCo's paper has none.
        queue: keys kept, on MoCo.
        momentum: of the moving copy, on MoCo; see `counterpoint show moco`.

    Source: Li et al., GenView: Enhancing View Quality with Pretrained Generative Model for
    Self-Supervised Learning, ECCV 2024, arXiv 2403.12003; authors' code. MoCo (v2) is a host of
    the paper, SimCLR is its MoCo v3 without momentum encoder and predictor; its others, MoCo v3,
    BYOL, SimSiam and SwAV, are no methods here.
    """

    direction: Tensor

    def __init__(
        self,
        encoder: Encoder,
        host: Host = "simclr",
        generator: str | None = None,
        gamma: NonNegativeFloat = 1.0,
        foreground: Fraction = 0.4,
        flip: bool = False,
        constant: PositiveInt | None = None,
        sampling: PositiveInt = 20,
        temperature: PositiveFloat = 0.2,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = True,
        queue: PositiveInt = 4096,
        momentum: Fraction = 0.99,
    ) -> None:
        super().__init__(
            encoder,
            objective="info_nce",
            temperature=temperature,
            outputs=outputs,
            hidden=hidden,
            batch_norm=batch_norm,
        )
        if foreground in (0, 1):
            raise SettingError(f"foreground must lie strictly between 0 and 1, got {foreground}.")
        self.moving: MomentumCopy | None = None
        if host == "moco":
            self.moving = MomentumCopy(self._network(), momentum)
            self.queue = MemoryQueue(queue, outputs)
        self.generator = Generator.open(generator) if generator is not None else None
        self.gamma, self.foreground, self.flip = gamma, foreground, flip
        self.constant, self.sampling = constant, sampling
        self.register_buffer("direction", torch.empty(0))

    @classmethod
    def trained_first(cls, arguments: Mapping[str, Any]) -> Mapping[str, str]:
        return {"generator": "diffusion"}

    def prepare(self, data: Dataset, on_progress: OnProgress | None = None) -> Dataset:
        generator, train = self._generator(data), data.train
        levels = self._levels(train, on_progress)

        def make(rows: range) -> Tensor:
            index = torch.tensor(rows)
            seeds = sample_seeds(0, 0, index, 0)
            return generator.vary(train.gather(index), levels[index], seeds, self.sampling)

        content = _digest(train, levels)
        key = f"variants {generator.fingerprint} {self.sampling} {content}"
        variants = generated_images(key, len(train), make, on_progress)
        return replace(data, train=replace(train, partners=ImageStack(variants)))

    def views(self, data: Dataset) -> Sequence[View]:
        if not len(self.direction):
            self._generator(data)
            self._levels(data.train, None)
        return [augment(data), PartnerView(augment(data))]

    def before_step(self, progress: float) -> None:
        if self.moving is not None:
            self.moving.update(self._network(), progress)

    def _network(self) -> nn.Sequential:
        return nn.Sequential(self.encoder, self.head)

    def encode(self, batch: Batch) -> Codes:
        slot = batch.meta[1][SLOT]
        if self.moving is None:
            codes = super().encode(batch)
            first, second = in_slots(codes["z1"], codes["z2"], slot)
            return {"z1": first, "z2": second}
        own, partner = map(_images, batch.views)
        query, key = in_slots(own, partner, slot)
        return {"z1": self._network()(query), "z2": self.moving(key)}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        weight = self.weights(batch)
        losses = self._losses(codes["z1"], codes["z2"], batch.index)
        if self.moving is not None and self.training:
            self.queue.enqueue(gather_rows(codes["z2"]), ids=gather_rows(batch.index))
        return {"loss": (weight * losses).mean(), "largest_weight": weight.max()}

    def _losses(self, z1: Tensor, z2: Tensor, index: Tensor) -> Tensor:
        """The host's loss of every pair, ``(B,)``."""
        loss = partial(F.info_nce, temperature=self.temperature, reduction="none")
        if self.moving is not None:
            return loss(z1, z2, in_batch=False, **negatives(self.queue, z2, index))
        both = partial(loss, across_ranks=is_distributed())
        return (both(z1, z2) + both(z2, z1)) / 2

    @torch.no_grad()
    def weights(self, batch: Batch) -> Tensor:
        """How much each pair of a batch is believed, ``(B,)``, of mean 1."""
        if self.gamma == 0:
            return torch.ones(len(batch), device=batch.index.device)
        one, two = (self._features(_images(view)) for view in batch.views)
        return quality_weights(pair_quality(one, two, self.direction), self.gamma)

    def _features(self, images: Tensor) -> Tensor:
        if self.generator is None:
            raise DataError("genview weighs pairs of images by a generator's features.")
        return self.generator.tokens(images)

    def _generator(self, data: Dataset) -> Generator:
        if self.generator is None:
            raise SettingError(f"genview needs a generator. {HOW}")
        self.generator.check_fits(data.channels, data.size)
        return self.generator

    def _levels(self, train: Split, on_progress: OnProgress | None) -> Tensor:
        """The noise level of every image, int64 ``(N,)``; finds the foreground's direction."""
        tokens = self._tokens(train, on_progress)
        count, cells, width = tokens.shape
        looked = tokens[torch.linspace(0, count - 1, min(count, _LOOKED_AT)).long()]
        centre = _centre(cells)
        centre = None if centre is None else centre.repeat(len(looked))
        direction = foreground_direction(looked.reshape(-1, width), centre=centre)
        self.direction = (-direction if self.flip else direction).to(self.direction.device)
        if self.constant is not None:
            return torch.full((count,), self.constant)
        scores = tokens @ self.direction.to(tokens.device)
        threshold = foreground_threshold(scores, self.foreground)
        return noise_levels(foreground_ratio(scores, threshold))

    def _tokens(self, train: Split, on_progress: OnProgress | None) -> Tensor:
        found = []
        for rows in torch.split(torch.arange(len(train)), _CHUNK):
            found.append(self._features(train.gather(rows).float() / 255))
            if on_progress is not None:
                on_progress(Progress("find the foreground", int(rows[-1]) + 1, len(train)))
        return torch.cat(found)


def in_slots(own: Tensor, partner: Tensor, slot: Tensor) -> tuple[Tensor, Tensor]:
    """What comes first and second of rows and their partners, which take the slots they drew.

    Args:
        own: ``(B, ...)``.
        partner: the same shape.
        slot: 0 or 1, int64 ``(B,)``.
    """
    swapped = slot.view(-1, *[1] * (own.dim() - 1)) == 0
    return torch.where(swapped, partner, own), torch.where(swapped, own, partner)


def _images(view: Inputs) -> Tensor:
    if not isinstance(view, Tensor):
        raise DataError("genview takes images.")
    return view


def _centre(cells: int) -> Tensor | None:
    """Which cells of a square grid lie in its middle half, bool ``(cells,)``; None without any."""
    side = round(cells**0.5)
    if side < 3:
        return None
    middle = (torch.arange(side) + 0.5 - side / 2).abs() < side / 4
    inside: Tensor = middle[:, None] & middle
    return inside.flatten()


def _digest(train: Split, levels: Tensor) -> str:
    """A digest of the training images and their levels."""
    digest = hashlib.sha256(levels.numpy().tobytes())
    for rows in torch.split(torch.arange(len(train)), _CHUNK):
        digest.update(train.gather(rows).numpy().tobytes())
    return digest.hexdigest()
