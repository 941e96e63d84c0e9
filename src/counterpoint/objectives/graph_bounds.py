"""How far dropped edges move a graph convolution: intervals, and lines around its activation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.encoders.graph_convolution import convolution_weights, plain_edges
from counterpoint.errors import SettingError


def among(matrix: Tensor, nodes: Tensor) -> Tensor:
    """Rows and columns of some nodes, int64 ``(n,)``, of a sparse ``(N, N)``, in that order."""
    return matrix.index_select(0, nodes).index_select(1, nodes).coalesce()


@dataclass(frozen=True)
class WeightBounds:
    """Bounds of the weights of a graph convolution under dropping; constants of graph and rate.

    Attributes:
        whole: weights of the graph itself, sparse ``(N, N)``, row target, column source.
        upper: of each weight, sparse ``(N, N)``.
        lower: 0 but for the diagonal, sparse ``(N, N)``.
        budget: how many edges each node may lose, int64 ``(N,)``.
    """

    whole: Tensor
    upper: Tensor
    lower: Tensor
    budget: Tensor

    def among(self, nodes: Tensor) -> WeightBounds:
        """Rows and columns of some nodes, int64 ``(n,)``, in that order."""
        whole, upper, lower = (among(x, nodes) for x in (self.whole, self.upper, self.lower))
        return WeightBounds(whole, upper, lower, self.budget[nodes])

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest ``A q`` over weights A within the bounds and q in [low, high]."""
        middle, radius = (self.upper + self.lower) / 2, (self.upper - self.lower) / 2
        least = torch.sparse.mm(middle, low) - torch.sparse.mm(radius, low.abs())
        greatest = torch.sparse.mm(middle, high) + torch.sparse.mm(radius, high.abs())
        return least, greatest


def weight_bounds(
    edges: Tensor, nodes: int, drop: float, *, dtype: torch.dtype = torch.float32
) -> WeightBounds:
    """Bounds of ``1 / sqrt((d_i + 1)(d_j + 1))`` when node i loses up to m_i of its d_i edges.

    ``m_i = min(max(d_i - 1, 0), round(drop d_i))``, half to even. Upper: each degree less its
    budget. Lower: 0, and ``1 / (d_i + 1)`` on the diagonal.

    Args:
        edges: of the undropped, undirected graph, both directions, int64 ``(2, E)``.
        nodes: number N.
        drop: rate in [0, 1].
        dtype: of the answer.

    Raises:
        DataError: not pairs of nodes 0 .. N - 1.
        SettingError: a rate outside [0, 1].

    Source: Wang et al. 2023, POT, arXiv 2309.13944.
    """
    if not 0 <= drop <= 1:
        raise SettingError(f"drop must be in [0, 1], got {drop}.")
    degree = torch.bincount(plain_edges(edges, nodes)[1], minlength=nodes)
    budget = (drop * degree.double()).round().long().minimum((degree - 1).clamp(min=0))
    whole = convolution_weights(edges, nodes, dtype=dtype)
    row, column = whole.indices()
    least = (degree + 1 - budget).to(dtype).rsqrt()
    loops = torch.arange(nodes, device=edges.device)
    own = 1 / (degree + 1).to(dtype)
    return WeightBounds(
        whole,
        _sparse(row, column, least[row] * least[column], nodes),
        _sparse(loops, loops, own, nodes),
        budget,
    )


@dataclass(frozen=True)
class Lines:
    """``slope * (x + offset)`` around an activation; offset 0 below it, ``above`` above it.

    Attributes:
        slope: entry by entry.
        above: offset of the upper line.
    """

    slope: Tensor
    above: Tensor

    def offset(self, coefficient: Tensor) -> Tensor:
        """Of the line that keeps ``coefficient * line`` below ``coefficient * activation``."""
        return torch.where(coefficient < 0, self.above, 0.0)


def activation_lines(low: Tensor, high: Tensor, slope: float = 0.0) -> Lines:
    """Lines below and above ``max(x, slope x)`` on [low, high], entry by entry.

    Args:
        low: any shape.
        high: same shape, not below it.
        slope: of the activation below 0, in [0, 1]; 0 is ReLU.

    Raises:
        SettingError: a slope outside [0, 1].

    Source: Zhang et al. 2018, CROWN; Wang et al. 2023, POT, arXiv 2309.13944.
    """
    if not 0 <= slope <= 1:
        raise SettingError(f"The slope of the activation must be in [0, 1], got {slope}.")
    crossing = (low < 0) & (high > 0)
    least, most = torch.where(crossing, low, -1.0), torch.where(crossing, high, 1.0)
    straight = torch.full_like(low, slope).masked_fill(low >= 0, 1.0)
    return Lines(
        torch.where(crossing, (most - slope * least) / (most - least), straight),
        torch.where(crossing, (slope - 1) * most * least / (most - slope * least), 0.0),
    )


def _sparse(row: Tensor, column: Tensor, values: Tensor, nodes: int) -> Tensor:
    return torch.sparse_coo_tensor(
        torch.stack([row, column]), values, (nodes, nodes), check_invariants=True
    ).coalesce()
