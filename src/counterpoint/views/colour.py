"""Brightness, contrast, saturation, hue and greyscale as one linear map a picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from counterpoint.views.randomness import between

LUMA = (0.299, 0.587, 0.114)
_YIQ = torch.tensor([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


def jitter(
    images: Tensor,
    unit: Tensor,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    jittered: float,
    grey: float,
) -> Tensor:
    """Changes the colours of each picture at random, in this order, and clamps to [0, 1].

    Brightness multiplies; contrast scales around the mean grey of the picture; saturation scales
    around the grey of each pixel; hue turns the colour plane of YIQ, which keeps greys and luma.
    The first three factors lie in ``1 ± amount``. All are linear, so that they are applied at once.
    With one channel only brightness and contrast act.

    Args:
        images: float in [0, 1] ``(B, C, H, W)``, C being 1 or 3.
        unit: numbers in [0, 1), ``(B, 6)``.
        brightness, contrast, saturation: amounts, each in [0, 1].
        hue: largest turn, as a share of the circle, in [0, 0.5].
        jittered: probability that these four act.
        grey: probability that the colours are dropped.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
        appendix A (there with hue in HSV and a random order).
    """
    bright, contra, satur, turn, acts, dropped = unit.unbind(1)
    on = (acts < jittered).float()
    b = 1 + on * between(bright, -brightness, brightness)
    c = 1 + on * between(contra, -contrast, contrast)
    if images.shape[1] == 1:
        mean = images.mean((1, 2, 3))
        return _affine(images, (b * c)[:, None, None], (1 - c) * b * mean)
    luma = torch.tensor(LUMA, device=images.device)
    mean = images.mean((2, 3)) @ luma
    s = (1 + on * between(satur, -saturation, saturation)) * (dropped >= grey)
    to_grey = luma.expand(3, 3)
    fade = s[:, None, None] * (torch.eye(3, device=images.device) - to_grey) + to_grey
    colours = _turn(on * between(turn, -hue, hue)) @ fade
    return _affine(images, (b * c)[:, None, None] * colours, (1 - c) * b * mean)


def _affine(images: Tensor, matrices: Tensor, offset: Tensor) -> Tensor:
    """matrix · pixel + offset, clamped."""
    flat = torch.baddbmm(offset[:, None, None], matrices, images.flatten(2))
    return flat.clamp_(0, 1).view_as(images)


def _turn(share: Tensor) -> Tensor:
    """Turns the colour plane by a share of the circle: matrices on RGB, ``(B, 3, 3)``."""
    yiq = _YIQ.to(share.device)
    angle = 2 * math.pi * share
    cos, sin = angle.cos(), angle.sin()
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    turned: Tensor = torch.linalg.inv(yiq) @ rotation @ yiq
    return turned
