"""Mixtures of two rows whose targets are known: hard negatives and hard positives of regression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta

from counterpoint.errors import DataError, SettingError


@dataclass(frozen=True)
class LabelMixtures:
    """For each anchor up to E mixtures ``w z_first + (1 - w) z_second``, in a padded table.

    Attributes:
        first: int64 ``(N, E)``.
        second: int64 ``(N, E)``.
        weight: w of the first ``(N, E)``.
        role: 1 positive, 0 negative, -1 no mixture; int64 ``(N, E)``.
        targets: mixed targets ``(N, E)``.
    """

    first: Tensor
    second: Tensor
    weight: Tensor
    role: Tensor
    targets: Tensor

    @staticmethod
    def of_list(
        anchor: Tensor, first: Tensor, second: Tensor, weight: Tensor, role: Tensor, targets: Tensor
    ) -> LabelMixtures:
        """Puts a list of mixtures in a table.

        Args:
            anchor: int64 ``(T,)``, whose mixture each is.
            first: int64 ``(T,)``.
            second: int64 ``(T,)``.
            weight: of the first ``(T,)``.
            role: 1 or 0, int64 ``(T,)``.
            targets: of the rows ``(N,)``.
        """
        order = anchor.argsort(stable=True)
        anchor, first, second, weight, role = (
            x[order] for x in (anchor, first, second, weight, role)
        )
        counts = torch.bincount(anchor, minlength=len(targets))
        place = (
            torch.arange(len(anchor), device=anchor.device) - (counts.cumsum(0) - counts)[anchor]
        )
        shape = (len(targets), max(int(counts.max()), 1))

        def table(values: Tensor, fill: float) -> Tensor:
            return values.new_full(shape, fill).index_put((anchor, place), values)

        mixed = weight * targets[first] + (1 - weight) * targets[second]
        return LabelMixtures(
            table(first, 0), table(second, 0), table(weight, 0), table(role, -1), table(mixed, 0)
        )


@torch.no_grad()
def label_mixtures(
    targets: Tensor,
    window: float = 5.0,
    *,
    beta: tuple[float, float] = (2.0, 8.0),
    most_negatives: int | None = None,
    most_positives: int | None = 64,
    generator: torch.Generator | None = None,
) -> LabelMixtures:
    """Mixtures of every anchor i with targets t.

    Negatives hold the anchor: ``a z_i + (1 - a) z_k`` for ``t_k != t_i``, a drawn from
    ``Beta(*beta)``. Positives leave it out: ``a z_j + (1 - a) z_k`` for
    ``t_i - window < t_j < t_i`` and ``t_i < t_k < t_i + window`` with
    ``a = (t_k - t_i) / (t_k - t_j)``, so that the mixed target is t_i.

    Args:
        targets: float ``(N,)``; bin continuous ones first, equal targets are compared exactly.
        window: above 0, strict: a neighbour exactly so far is not used.
        beta: of the anchor's share; (2, 8) is 0.2 on average.
        most_negatives: at most so many an anchor, drawn at random; None for all, up to N - 1.
        most_positives: likewise; None for all, up to ``N^2 / 4``. A limit is an approximation.
        generator: of the choice; the shares come from torch's own.

    Raises:
        DataError: targets that are no finite ``(N,)``.
        SettingError: window, beta or limits out of range.

    Source: Wu et al., "Mixup Your Own Pairs" (SupReMix), arXiv 2309.16633.
    """
    limits = [x for x in (most_negatives, most_positives) if x is not None]
    if not window > 0 or min(beta) <= 0 or any(x < 0 for x in limits):
        raise SettingError(f"window and beta must be above 0, limits at least 0: {window}, {beta}.")
    if targets.dim() != 1 or len(targets) == 0 or not bool(torch.isfinite(targets).all()):
        raise DataError(f"targets must be finite (N,), got {tuple(targets.shape)}.")
    t = targets.to(torch.promote_types(targets.dtype, torch.float32))
    lists = []
    for i in range(len(t)):
        other = _some((t != t[i]).nonzero().flatten(), most_negatives, generator)
        lists.append(torch.stack([torch.full_like(other, i), torch.full_like(other, i), other]))
        low = ((t < t[i]) & (t[i] - t < window)).nonzero().flatten()
        high = ((t > t[i]) & (t - t[i] < window)).nonzero().flatten()
        pairs = _some(torch.cartesian_prod(low, high).reshape(-1, 2), most_positives, generator)
        lists.append(torch.stack([torch.full_like(pairs[:, 0], i), *pairs.T]))
    anchor, first, second = torch.cat(lists, 1)
    role = (anchor != first).long()
    gap = (t[second] - t[first]).where(role == 1, 1.0)
    share = Beta(t.new_tensor(beta[0]), t.new_tensor(beta[1])).sample((len(anchor),))
    weight = torch.where(role == 1, (t[second] - t[anchor]) / gap, share)
    return LabelMixtures.of_list(anchor, first, second, weight, role, t)


def _some(rows: Tensor, most: int | None, generator: torch.Generator | None) -> Tensor:
    if most is None or len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=generator)[:most].to(rows.device)]
