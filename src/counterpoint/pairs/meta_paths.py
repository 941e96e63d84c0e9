"""Neighbours along a meta-path of a heterogeneous graph, from how many instances join two nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError


@torch.no_grad()
def path_neighbours(counts: Tensor, neighbours: int) -> Tensor:
    """The counts of each row's nodes of greatest ``PathSim_ij = 2 C_ij / (C_ii + C_jj)``.

    A node is its own nearest (1). Among equals the node itself comes first, then the lower
    position. The kept matrix need not be symmetric.

    Args:
        counts: C, instances of the meta-path between two nodes, not negative, dense or sparse
            ``(N, N)``.
        neighbours: how many a row keeps, at least 1, itself among them; pairs without an instance
            are never kept.

    Returns:
        Sparse ``(N, N)``, the raw counts.

    Raises:
        DataError: not square, negative or not finite, or a node that has neighbours but no path
            back to itself.
        SettingError: neighbours below 1.

    Source: Sun et al. 2011, PathSim; Yu et al. 2023, MEOW, arXiv 2212.13847, authors' code.
    """
    if neighbours < 1:
        raise SettingError(f"neighbours must be at least 1, got {neighbours}.")
    (row, column), values = _entries(counts)
    own = row == column
    loops = values.new_zeros(len(counts)).index_add(0, row[own], values[own])
    if bool(((loops[row] == 0) | (loops[column] == 0)).any()):
        raise DataError("A node with neighbours has no path to itself: counts need their diagonal.")
    similarity = 2 * values.double() / (loops[row] + loops[column]).double()
    order = (~own).long().argsort(stable=True)
    order = order[similarity[order].argsort(descending=True, stable=True)]
    order = order[row[order].argsort(stable=True)]
    starts = torch.bincount(row, minlength=len(counts)).cumsum(0).roll(1)
    starts[0] = 0
    place = torch.arange(len(order), device=row.device) - starts[row[order]]
    kept = order[place < neighbours].sort().values
    return _sparse(row[kept], column[kept], values[kept], len(counts))


@torch.no_grad()
def symmetric_weights(kept: Tensor) -> Tensor:
    """``D^-1/2 B^T D^-1/2``, D the row sums of B; of the transpose, as the authors' code has it.

    Args:
        kept: B, not negative, dense or sparse ``(N, N)``. An empty row gives zeros.

    Returns:
        Sparse ``(N, N)``; the coarse graph is the mean of those of the meta-paths.

    Raises:
        DataError: not square, negative or not finite.

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847, authors' code.
    """
    (row, column), values = _entries(kept)
    values = values if values.is_floating_point() else values.float()
    degree = values.new_zeros(len(kept)).index_add(0, row, values)
    scaled = torch.where(degree > 0, degree.rsqrt(), 0.0)
    return _sparse(column, row, values * scaled[row] * scaled[column], len(kept))


def _entries(matrix: Tensor) -> tuple[Tensor, Tensor]:
    if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"The matrix of a graph must be (N, N), got {tuple(matrix.shape)}.")
    entries = (matrix if matrix.is_sparse else matrix.to_sparse()).coalesce()
    values = entries.values()
    if not bool((torch.isfinite(values) & (values >= 0)).all()):
        raise DataError("The matrix of a graph must be finite and not negative.")
    there = values > 0
    return entries.indices()[:, there], values[there]


def _sparse(row: Tensor, column: Tensor, values: Tensor, nodes: int) -> Tensor:
    return torch.sparse_coo_tensor(
        torch.stack([row, column]), values, (nodes, nodes), check_invariants=True
    ).coalesce()
