"""Images of a trained diffusion model: new ones, and variants of given ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.encoders.denoiser import LEVELS, denoiser_tokens
from counterpoint.errors import DataError, SettingError, require
from counterpoint.views.randomness import normal

HOW = (
    "Train one with `counterpoint fit diffusion --data DATA --steps 2000 --batch-size 64 --out "
    "runs/generator` and name it with --set generator=runs/generator."
)
_INDEX = "model_index.json"
_PLACES = ("", "pipeline", "model/pipeline")


class Generator:
    """An unconditional diffusers pipeline, sampled without further noise (DDIM).

    Every image is a function of its seed, and for variants of its source and level; its neighbours
    in the batch have no part in it, up to the last digits before rounding.

    Args:
        unet: predicts noise, see `counterpoint.encoders.denoiser`.
        scheduler: diffusers' ``DDIMScheduler``.
        fingerprint: changes with the weights.

    Source: Song et al. 2021, Denoising Diffusion Implicit Models, arXiv 2010.02502; Meng et al.
    2022, SDEdit, arXiv 2108.01073 (variants by partial noising).
    """

    def __init__(self, unet: nn.Module, scheduler: Any, fingerprint: str) -> None:
        self.unet = unet.eval().requires_grad_(False)
        self.scheduler, self.fingerprint = scheduler, fingerprint
        config: Any = unet.config
        self.channels, self.size = int(config.in_channels), int(config.sample_size)

    @classmethod
    def open(cls, folder: str | Path) -> Generator:
        """Opens a pipeline on disk: safetensors alone, no code of the folder is run.

        Args:
            folder: a diffusers pipeline, or a run or model of method ``diffusion``.

        Raises:
            SettingError: no pipeline there, or one that needs a text or another condition.
            DataError: weights that cannot be read.
            MissingExtraError: diffusers is not installed.
        """
        root = _root(Path(folder))
        index = json.loads((root / _INDEX).read_text())
        if index.get("unet") != ["diffusers", "UNet2DModel"] or "scheduler" not in index:
            raise SettingError(
                f"{root} is a {index.get('_class_name')}; an unconditional pipeline is needed, of "
                f"a UNet2DModel and a scheduler, such as DDPMPipeline."
            )
        diffusers = require("diffusers", "diffusion")
        try:
            unet = diffusers.UNet2DModel.from_pretrained(
                root / "unet", use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
            )
            scheduler = diffusers.DDIMScheduler.from_pretrained(root / "scheduler")
        except Exception as error:
            raise DataError(f"The pipeline in {root} cannot be read: {error}") from error
        files = [*sorted((root / "unet").glob("*.safetensors")), root / "unet" / "config.json"]
        files.append(root / "scheduler" / "scheduler_config.json")
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
        return cls(unet, scheduler, digest.hexdigest())

    def check_fits(self, channels: int, size: int) -> None:
        """Refuses data of another shape.

        Raises:
            SettingError: says both shapes.
        """
        if (self.channels, self.size) != (channels, size):
            raise SettingError(
                f"The generator makes images ({self.channels}, {self.size}, {self.size}), the data "
                f"are ({channels}, {size}, {size}). {HOW}"
            )

    def draw(self, seeds: Tensor, steps: int = 20) -> Tensor:
        """New images.

        Args:
            seeds: int64 ``(B,)``, one an image.
            steps: how often noise is taken away.

        Returns:
            uint8 ``(B, C, H, W)``.
        """
        return _bytes(self._denoised(self._noise(seeds), self._times(steps, LEVELS)))

    def vary(self, images: Tensor, levels: Tensor, seeds: Tensor, steps: int = 20) -> Tensor:
        """Variants: noise up to a level is put on an image and taken away again.

        Args:
            images: uint8 ``(B, C, H, W)``.
            levels: int64 ``(B,)``, out of 1000; an image at level 0 comes back as it is.
            seeds: int64 ``(B,)``, one an image.
            steps: how often noise would be taken away from level 999 on.

        Returns:
            uint8 ``(B, C, H, W)``.
        """
        made = images.clone()
        noise = self._noise(seeds)
        for level in torch.unique(levels).tolist():
            times = self._times(steps, level)
            if level == 0 or not len(times):
                continue
            rows = levels == level
            clean = images[rows].float() / 127.5 - 1
            noisy = self.scheduler.add_noise(clean, noise[rows], times[:1])
            made[rows] = _bytes(self._denoised(noisy, times))
        return made

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Features ``(B, T, D)`` of images in [0, 1], see `denoiser_tokens`."""
        self.unet.to(images.device)
        return denoiser_tokens(self.unet, images)

    def _noise(self, seeds: Tensor) -> Tensor:
        shape = (len(seeds), self.channels, self.size, self.size)
        return normal(seeds, 0, self.channels * self.size**2).view(shape)

    def _times(self, steps: int, level: int) -> Tensor:
        """Levels of the pipeline from ``level`` out of 1000 down, int64."""
        total = self.scheduler.config.num_train_timesteps
        self.scheduler.set_timesteps(min(steps, total))
        times: Tensor = self.scheduler.timesteps
        return times[times * LEVELS <= level * total]

    @torch.no_grad()
    def _denoised(self, x: Tensor, times: Tensor) -> Tensor:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        unet, x = self.unet.to(device), x.to(device)
        for time in times:
            x = self.scheduler.step(unet(x, time.to(device)).sample, time, x).prev_sample
        return x.cpu()


def _root(folder: Path) -> Path:
    for place in _PLACES:
        if (folder / place / _INDEX).is_file():
            return folder / place
    raise SettingError(f"There is no diffusion pipeline in {folder}: {_INDEX} is missing. {HOW}")


def _bytes(images: Tensor) -> Tensor:
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
