"""AdaInf: generated images beside the real ones, real ones repeated, weaker augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.curation.inflation import (
    STRONG,
    WEAK,
    inflated_labels,
    inflated_rows,
)
from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.generated import Joined, generated_images
from counterpoint.data.items import Chosen, ImageStack
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.generator import HOW, Generator
from counterpoint.errors import SettingError
from counterpoint.methods.base import View
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.progress import OnProgress
from counterpoint.views import Augment, augment
from counterpoint.views.image import Strength
from counterpoint.views.randomness import sample_seeds


class AdaInf(SimCLR):
    """SimCLR on the real images ``repeats`` times and generated ones once, weakly augmented.

    Real images are a share ``R n / (R n + m)`` of what is seen. Generated images have no label;
    probes learn from the real ones alone. Every row is a sample of its own: two copies of an image
    in one batch are negatives of each other. Compare at equal steps, not epochs: an epoch is one
    pass over the inflated set.

    Args:
        generator: folder of a diffusers pipeline or of a run of ``diffusion``; None trains a small
            one first.
        generated: number m of generated images; 0 is training on the real images. The paper takes
            20 times the real ones.
        repeats: R, the weight of a real image against a generated one; 1 is plain inflation.
        strength: of augmentation; ``"weak"``, or ``"strong"``, the usual recipe of the paper.
            Characters and drawings keep their own recipe at that strength.
        sampling: denoising steps of a generated image.
        objective: any objective of two views, see `simclr`.
        temperature: divides similarities.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer, 2048 in the paper; None takes the encoder's
            width.
        batch_norm: batch normalisation in the head.

    Source: Wang et al., Do Generated Data Always Help Contrastive Learning?, ICLR 2024, arXiv
    2403.12448; authors' code. The recipe for two unequal views (BYOL, Barlow Twins) is not here.
    """

    def __init__(
        self,
        encoder: Encoder,
        generator: str | None = None,
        generated: NonNegativeInt = 2000,
        repeats: PositiveInt = 10,
        strength: Strength = "weak",
        sampling: PositiveInt = 20,
        objective: str = "nt_xent",
        temperature: PositiveFloat = 0.2,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(
            encoder,
            objective=objective,
            temperature=temperature,
            outputs=outputs,
            hidden=hidden,
            batch_norm=batch_norm,
        )
        self.generator = Generator.open(generator) if generator is not None else None
        self.generated, self.repeats = generated, repeats
        self.strength: Strength = strength
        self.sampling = sampling

    @classmethod
    def trained_first(cls, arguments: Mapping[str, Any]) -> Mapping[str, str]:
        return {"generator": "diffusion"} if arguments["generated"] else {}

    def prepare(self, data: Dataset, on_progress: OnProgress | None = None) -> Dataset:
        real = data.train
        rows, _ = inflated_rows(len(real), self.generated, self.repeats)
        items = real.items
        if self.generated:
            items = Joined(items, ImageStack(self._pool(data, on_progress)))
        names = [*real.names, *(f"generated {i}" for i in range(self.generated))]
        labels = real.labels
        inflated = Split(
            Chosen(items, rows),
            [names[row] for row in rows.tolist()],
            None if labels is None else inflated_labels(labels, self.generated, self.repeats),
        )
        return replace(data, train=inflated)

    def views(self, data: Dataset) -> Sequence[View]:
        view = augment(data, strength=self.strength)
        if not view.on_background:
            view = self._of_photographs(view)
        return [view, view]

    def _of_photographs(self, view: Augment) -> Augment:
        if self.strength == "standard":
            return view
        recipe = WEAK if self.strength == "weak" else STRONG
        brightness, contrast, saturation, hue = recipe.jitter
        return replace(
            view,
            scale=(recipe.crop, 1.0),
            mirror=recipe.flip_p if view.mirror else 0.0,
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=hue,
            jittered=recipe.jitter_p,
            grey=recipe.greyscale_p,
            blurred=recipe.blur_p,
        )

    def _pool(self, data: Dataset, on_progress: OnProgress | None) -> Tensor:
        generator = self.generator
        if generator is None:
            raise SettingError(f"adainf needs a generator. {HOW}")
        generator.check_fits(data.channels, data.size)

        def make(rows: range) -> Tensor:
            seeds = sample_seeds(0, 0, torch.tensor(rows), 0)
            return generator.draw(seeds, self.sampling)

        key = f"new {generator.fingerprint} {self.sampling}"
        return generated_images(key, self.generated, make, on_progress)
