"""Which of very many classes take part in a step, and which are a sample's own."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.rows import row_blocks
from counterpoint.errors import SettingError


def sample_classes(
    labels: Tensor,
    classes: int,
    rate: float = 0.1,
    *,
    order: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """All classes that are positive for some sample, filled up at random to a share of all.

    Args:
        labels: positive classes of the (global) batch, int64, any shape; -1 is none.
        classes: number C of all classes.
        rate: share kept of ALL classes, in (0, 1]: ``floor(rate C)`` in all, or just the positives
            if they are more.
        order: int64 ``(C,)``, a permutation of the classes that decides; drawn if None.
        generator: of the draw.

    Returns:
        int64 ``(S,)``, rising.

    Raises:
        SettingError: rate out of range.

    Source: An et al., Partial FC, CVPR 2022, as used by MLCD, arXiv 2407.17331 (0.1).
    """
    if not 0 < rate <= 1:
        raise SettingError(f"rate is the share of classes kept, in (0, 1], not {rate}.")
    needed = torch.unique(labels[labels >= 0])
    room = max(int(rate * classes) - len(needed), 0)
    if order is None:
        order = torch.randperm(classes, generator=generator).to(labels.device)
    others = order[~torch.isin(order, needed)]
    return torch.cat([needed, others[:room]]).sort().values


@torch.no_grad()
def nearest_classes(features: Tensor, centres: Tensor, count: int = 8) -> Tensor:
    """The centres of largest cosine to every sample, its positive classes in MLCD.

    Args:
        features: float ``(N, D)``.
        centres: float ``(C, D)``, e.g. of k-means.
        count: l, at most C.

    Returns:
        int64 ``(N, count)``, nearest first; of equal ones the lower index.

    Raises:
        SettingError: count out of range.

    Source: An et al. 2024, Multi-label Cluster Discrimination, arXiv 2407.17331 (8).
    """
    if not 1 <= count <= len(centres):
        raise SettingError(f"count must lie in 1..{len(centres)}, the centres; got {count}.")
    unit, towards = (torch.nn.functional.normalize(x, dim=1) for x in (features, centres))
    found = []
    for part in row_blocks(len(unit), len(towards)):
        order = (unit[part] @ towards.T).sort(dim=1, descending=True, stable=True).indices
        found.append(order[:, :count].clone())  # a view would keep the whole order
    return torch.cat(found)
