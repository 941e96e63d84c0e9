"""Deterministic sampling of a diffusion with a straight path for the gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.encoders.noise_schedule import Denoise, NoiseSchedule
from counterpoint.errors import SettingError


def residual_sample(
    schedule: NoiseSchedule, noise_of: Denoise, z: Tensor, full_last: int = 0
) -> Tensor:
    """DDIM from z to ``x_0``, whose gradient takes the residual path past the network.

    ``x_0 = (x_t - sqrt(1 - A_t) e_t) / sqrt(A_t)``, then ``x_{t-1} = sqrt(A_{t-1}) x_0 +
    sqrt(1 - A_{t-1}) e_t``, with every ``e_t`` a constant: ``dx_0 / dz`` is the identity over
    ``sqrt(A_T)``. The values are those of plain sampling, and so are memory and time of a forward
    pass. Predictions are not clipped.

    Args:
        schedule: A.
        noise_of: predicts the noise e of noisy values ``(B, ...)`` at steps ``(B,)``.
        z: standard normal latents ``(B, ...)``.
        full_last: the true gradient through the network in so many last steps.

    Returns:
        ``(B, ...)``.

    Raises:
        SettingError: full_last out of range.

    Source: SAGE, ICLR 2024, arXiv 2306.00974 (exact form reconstructed); DDIM: Song et al. 2021,
    arXiv 2010.02502.
    """
    if not 0 <= full_last <= len(schedule):
        raise SettingError(f"full_last must be in 0..{len(schedule)}, not {full_last}.")
    x = z
    for n in reversed(range(len(schedule))):
        steps = torch.full((len(x),), n, device=x.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and n < full_last):
            noise = noise_of(x, steps)
        kept = schedule.kept[n].to(x)
        before = schedule.kept[n - 1].to(x) if n else torch.ones_like(kept)
        clean = (x - (1 - kept).sqrt() * noise) / kept.sqrt()
        x = before.sqrt() * clean + (1 - before).sqrt() * noise
    return x
