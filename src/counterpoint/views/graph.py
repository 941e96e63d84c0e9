"""Random views of a graph: edges dropped, links and features masked."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError


def drop_edges(edges: Tensor, rate: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Every directed edge is dropped with probability ``rate``, its reverse on its own.

    Args:
        edges: int64 ``(2, E)``.
        rate: in [0, 1].
        generator: of the draw.

    Returns:
        The kept edges in their order; they need not be symmetric.

    Raises:
        DataError: edges that are not ``(2, E)``.
        SettingError: rate outside [0, 1].

    Source: Zhu et al. 2020, GRACE; Wang et al. 2023, POT, arXiv 2309.13944.
    """
    _check_rate(rate)
    if edges.dim() != 2 or len(edges) != 2:
        raise DataError(f"edges must be (2, E), got {tuple(edges.shape)}.")
    drawn = torch.rand(edges.shape[1], generator=generator, device=edges.device)
    return edges[:, drawn >= rate]


def mask_links(graph: Tensor, rate: float, *, generator: torch.Generator | None = None) -> Tensor:
    """A share of the entries off the diagonal is removed, the rest set to 1, and I added.

    Args:
        graph: dense or sparse ``(N, N)``, e.g. of `counterpoint.pairs.meta_paths.path_neighbours`.
        rate: share in [0, 1]; ``round(rate E)`` of the E entries go.
        generator: of the draw.

    Returns:
        Sparse ``(N, N)``.

    Raises:
        DataError: not square.
        SettingError: rate outside [0, 1].

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847; drawn once before training.
    """
    _check_rate(rate)
    if graph.dim() != 2 or graph.shape[0] != graph.shape[1]:
        raise DataError(f"graph must be (N, N), got {tuple(graph.shape)}.")
    entries = (graph if graph.is_sparse else graph.to_sparse()).coalesce()
    row, column = entries.indices()
    links = entries.indices()[:, (row != column) & (entries.values() != 0)]
    kept = links[:, _survivors(links.shape[1], rate, links.device, generator)]
    loops = torch.arange(len(graph), device=graph.device).expand(2, -1)
    index = torch.cat([kept, loops], 1)
    ones = torch.ones(index.shape[1], dtype=graph.dtype, device=graph.device)
    return torch.sparse_coo_tensor(index, ones, graph.shape, check_invariants=True).coalesce()


def mask_features(x: Tensor, rate: float, *, generator: torch.Generator | None = None) -> Tensor:
    """A share of the entries that are not zero, ``round(rate E)`` of all E, is set to zero.

    Args:
        x: features ``(N, F)``.
        rate: share in [0, 1].
        generator: of the draw.

    Raises:
        SettingError: rate outside [0, 1].

    Source: Yu et al. 2023, MEOW, arXiv 2212.13847; drawn once before training.
    """
    _check_rate(rate)
    places = x.flatten().nonzero().flatten()
    kept = places[_survivors(len(places), rate, x.device, generator)]
    flat = x.flatten()
    return torch.zeros_like(flat).index_copy(0, kept, flat[kept]).view_as(x)


def _survivors(
    count: int, rate: float, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Positions that stay, in order."""
    order = torch.randperm(count, generator=generator, device=device)
    return order[round(rate * count) :].sort().values


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise SettingError(f"rate must be in [0, 1], got {rate}.")
