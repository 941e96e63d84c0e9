"""How strongly the nodes of a graph reach each other within a few steps."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from counterpoint.encoders.graph_convolution import plain_edges
from counterpoint.errors import DataError, SettingError


def walk_matrix(edges: Tensor, nodes: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """``Deg^-1 (A + I)`` of an undirected graph, the first step of `influence`.

    Args:
        edges: pairs of nodes, int64 ``(2, E)``; direction, repetition and loops do not count.
        nodes: number N.
        dtype: of the answer.

    Returns:
        Sparse ``(N, N)``; every row sums to 1. It is not symmetric.

    Raises:
        DataError: not pairs of nodes 0 .. N - 1.

    Source: Kulatilleke et al., "PamC", arXiv 2209.14067.
    """
    undirected = plain_edges(torch.cat([edges, edges.flip(0)], -1), nodes)
    loops = torch.arange(nodes, device=edges.device).expand(2, -1)
    row, column = torch.cat([undirected, loops], 1)
    degree = torch.bincount(row, minlength=nodes).to(dtype)
    return torch.sparse_coo_tensor(
        torch.stack([row, column]),
        1 / degree[row],
        (nodes, nodes),
        check_invariants=True,
    ).coalesce()


@torch.no_grad()
def influence(walk: Tensor, order: int = 1, *, cumulative: bool = True) -> Tensor:
    """``A + A^2 + ... + A^r``, or ``A^r`` alone: a constant of the graph, made once.

    It grows dense with r on graphs of short distances.

    Args:
        walk: A, dense or sparse ``(N, N)``, see `walk_matrix`.
        order: r, at least 1.
        cumulative: the sum, whose rows sum to r; else the last power.

    Returns:
        Sparse ``(N, N)``.

    Raises:
        DataError: not square.
        SettingError: order below 1.

    Source: Kulatilleke et al., "PamC", arXiv 2209.14067.
    """
    if walk.dim() != 2 or walk.shape[0] != walk.shape[1]:
        raise DataError(f"walk must be (N, N), got {tuple(walk.shape)}.")
    if order < 1:
        raise SettingError(f"order must be at least 1, got {order}.")
    step = walk.detach() if walk.is_sparse else walk.detach().to_sparse()
    power = total = step
    for _ in range(order - 1):
        power = _product(power, step)
        total = total + power
    return (total if cumulative else power).coalesce()


def _product(a: Tensor, b: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        product: Tensor = torch.sparse.mm(a, b)
    return product
