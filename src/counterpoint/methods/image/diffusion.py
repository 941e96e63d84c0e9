"""DDPM: a network that tells the noise in images, and so can make new ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn.functional import mse_loss

from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.denoiser import LEVELS, denoiser, denoiser_tokens
from counterpoint.encoders.generator import Generator
from counterpoint.encoders.noise_schedule import NoiseSchedule
from counterpoint.errors import DataError, SettingError, require
from counterpoint.methods.base import Codes, Method, View
from counterpoint.views.noised import Noised

_LARGE = 16


class Diffusion(Method):
    """``|| eps - u(sqrt(A_n) x + sqrt(1 - A_n) eps, n) ||^2``, level n uniform, cosine schedule.

    An unconditional generator, which `genview` and `adainf` take. A saved model holds it as a
    diffusers pipeline in ``pipeline/``, beside ``samples.png``. The encoder that the contract asks
    for only tells the shape of the images and stays as it is; the embedding is the mean over the
    cells of the U-Net's narrowest block.

    Args:
        width: channels of the U-Net at full size, a multiple of 8, twice as many below; None takes
            24, and 8 for images above 16 pixels, which keeps training to minutes.

    Source: Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020, arXiv 2006.11239;
    Nichol and Dhariwal 2021, arXiv 2102.09672 (schedule); Xiang et al. 2023, arXiv 2303.09769
    (embedding).
    """

    modalities = ("images",)

    def __init__(self, encoder: Encoder, width: PositiveInt | None = None) -> None:
        super().__init__(encoder.requires_grad_(False))
        channels, size = encoder.config["channels"], encoder.config["size"]
        width = width or (8 if size > _LARGE else 24)
        if width % 8:
            raise SettingError(f"width must be a multiple of 8, got {width}.")
        self.unet = denoiser(channels, size, width)
        self.schedule = NoiseSchedule(LEVELS)

    def views(self, data: Dataset) -> Sequence[View]:
        return [Noised(LEVELS)]

    def encode(self, batch: Batch) -> Codes:
        (images,), (meta,) = batch.views, batch.meta
        if not isinstance(images, Tensor):
            raise DataError("diffusion takes images, got named tensors.")
        noisy = self.schedule.noisy(images * 2 - 1, meta["level"], meta["noise"])
        return {"noise": self.unet(noisy, meta["level"]).sample}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        return {"loss": mse_loss(codes["noise"], batch.meta[0]["noise"])}

    def embed(self, inputs: Inputs) -> Tensor:
        if not isinstance(inputs, Tensor):
            raise DataError("diffusion takes images, got named tensors.")
        return denoiser_tokens(self.unet, inputs).mean(1)

    def export(self, folder: Path) -> None:
        """Writes the diffusers pipeline, and 64 samples as a picture."""
        diffusers = require("diffusers", "diffusion")
        scheduler = diffusers.DDPMScheduler(LEVELS, beta_schedule="squaredcos_cap_v2")
        pipeline = diffusers.DDPMPipeline(self.unet, scheduler)
        pipeline.save_pretrained(folder / "pipeline", safe_serialization=True)
        samples = Generator.open(folder).draw(torch.arange(64))
        save_image = require("torchvision.utils", "image").save_image
        save_image(samples.float() / 255, folder / "samples.png", nrow=8, padding=1)
