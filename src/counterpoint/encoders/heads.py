"""Heads between the representation and the embedding that an objective sees."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from counterpoint.errors import SettingError


def projection(
    inputs: int,
    outputs: int = 128,
    *,
    hidden: int | None = None,
    layers: int = 2,
    batch_norm: bool = True,
) -> nn.Sequential:
    """Projection head: linear layers with ReLU between them, ``g(h) = W2 relu(W1 h)``.

    Args:
        inputs: length of the representation.
        outputs: length of the embedding.
        hidden: units of every layer but the last; None takes ``inputs``.
        layers: number of linear layers, at least 1 (1 is a linear head).
        batch_norm: batch normalisation before each ReLU. Layers before it have no bias.

    Source: SimCLR, Chen et al. 2020, arXiv 2002.05709, Section 4.2 (two layers).
    """
    if layers < 1 or outputs < 1:
        raise SettingError(f"A head needs at least one layer and output, got {layers}, {outputs}.")
    sizes = [inputs, *[hidden or inputs] * (layers - 1), outputs]
    steps: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        steps.append(nn.Linear(before, after, bias=not batch_norm))
        if batch_norm:
            steps.append(nn.BatchNorm1d(after))
        steps.append(nn.ReLU())
    return nn.Sequential(*steps, nn.Linear(sizes[-2], sizes[-1]))


def pixel_projection(
    inputs: int, outputs: int = 256, *, hidden: int | None = None
) -> nn.Sequential:
    """Projection head of every cell of a feature map: 1x1 convolution, batch norm, ReLU, again.

    Args:
        inputs: channels of the map.
        outputs: channels of the embedded map.
        hidden: channels between; None takes ``inputs``.

    Source: PixPro, Xie et al. 2021, arXiv 2011.10043, Section 3.2 (2048, 4096, 256 channels).
    """
    between = hidden or inputs
    return nn.Sequential(
        nn.Conv2d(inputs, between, 1, bias=False),
        nn.BatchNorm2d(between),
        nn.ReLU(),
        nn.Conv2d(between, outputs, 1),
    )
