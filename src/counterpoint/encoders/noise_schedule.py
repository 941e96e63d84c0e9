"""How noise grows over the steps of a diffusion, and how it is taken away again."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from counterpoint.errors import DataError, SettingError

Form = Literal["cosine", "linear"]
Denoise = Callable[[Tensor, Tensor], Tensor]
"""``f(x_n, n)`` of noisy values ``(B, ...)`` and steps ``(B,)`` to the predicted ``x_0``."""


def _cosine(steps: int) -> Tensor:
    share = [math.cos((n / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for n in range(steps + 1)]
    betas = [1 - after / before for before, after in pairwise(share)]
    return torch.tensor(betas, dtype=torch.float64)


def _linear(steps: int) -> Tensor:
    return torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64)


class NoiseSchedule(nn.Module):
    """``x_n = sqrt(A_n) x_0 + sqrt(1 - A_n) noise``, ``A_n = prod_{m <= n} (1 - beta_m)``.

    The cosine schedule: ``beta_n = 1 - f((n + 1) / N) / f(n / N)`` with
    ``f(u) = cos^2((u + 0.008) / 1.008 * pi / 2)``; the linear one: evenly from ``0.1 / N`` to
    ``20 / N``, for some tens of steps at least.

    Args:
        steps: N, at least 1.
        largest: bound of each beta, in (0, 1).
        form: ``"cosine"`` or ``"linear"``.

    Attributes:
        betas: float64 ``(N,)``.
        kept: A, float64 ``(N,)``, falling from about 1 to about 0.

    Raises:
        SettingError: steps or bound out of range, unknown form.

    Source: Nichol and Dhariwal 2021, Improved Denoising Diffusion Probabilistic Models,
    arXiv 2102.09672; linear: Ho et al. 2020, arXiv 2006.11239; DDIM: Song et al. 2021,
    arXiv 2010.02502.
    """

    betas: Tensor
    kept: Tensor

    def __init__(self, steps: int = 50, largest: float = 0.999, form: Form = "cosine") -> None:
        super().__init__()
        if form not in get_args(Form):
            raise SettingError(f"form must be 'cosine' or 'linear', got {form!r}.")
        if steps < 1 or not 0 < largest < 1:
            raise SettingError(f"steps must be at least 1, largest in (0, 1): {steps}, {largest}.")
        betas = _linear(steps) if form == "linear" else _cosine(steps)
        self.register_buffer("betas", betas.clamp(max=largest))
        self.register_buffer("kept", (1 - self.betas).cumprod(0))

    def __len__(self) -> int:
        return len(self.betas)

    def draw_steps(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A step for every row of ``like``, uniform in 0..N-1, int64 ``(B,)``."""
        return torch.randint(len(self), (len(like),), generator=generator, device=like.device)

    def noisy(self, x: Tensor, n: Tensor, noise: Tensor) -> Tensor:
        """``x_n`` of clean values.

        Args:
            x: float ``(B, ...)``.
            n: int64 ``(B,)``, in 0..N-1.
            noise: standard normal, the shape of x.

        Raises:
            DataError: a step out of range.
        """
        if not bool(((n >= 0) & (n < len(self))).all()):
            raise DataError(f"Steps must lie in 0..{len(self) - 1}.")
        kept = self.kept[n].to(x).view(-1, *[1] * (x.dim() - 1))
        return kept.sqrt() * x + (1 - kept).sqrt() * noise

    @torch.no_grad()
    def sample(self, denoise: Denoise, noise: Tensor, bound: float | None = 1.0) -> Tensor:
        """Deterministic DDIM over all steps, from noise to ``x_0``.

        Args:
            denoise: predicts ``x_0``.
            noise: standard normal ``(B, ...)``.
            bound: predictions are clipped to [-bound, bound]; None leaves them.
        """
        x = noise
        for n in reversed(range(len(self))):
            clean = denoise(x, torch.full((len(x),), n, device=x.device))
            clean = clean if bound is None else clean.clamp(-bound, bound)
            kept = self.kept[n].to(x)
            before = self.kept[n - 1].to(x) if n else torch.ones_like(kept)
            left = (x / kept.sqrt() - clean) / (1 / kept - 1).sqrt()
            x = before.sqrt() * clean + (1 - before).sqrt() * left
        return x
