"""New points between and beyond embeddings: mixtures of negatives, extrapolated positives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn.functional import normalize

from counterpoint.engine.nearest import nearest_candidates
from counterpoint.engine.rows import row_blocks
from counterpoint.engine.similarity import refuse_double_backward
from counterpoint.engine.terms import IndexFunction
from counterpoint.errors import DataError, SettingError


def mix(a: Tensor, b: Tensor, weight: float | Tensor, *, unit: bool = False) -> Tensor:
    """``w a + (1 - w) b``; interpolation for w in [0, 1], extrapolation beyond a for w > 1.

    Args:
        a: float ``(..., D)``.
        b: float ``(..., D)``.
        weight: w, a number or a tensor that broadcasts.
        unit: bring each row to length 1; a mixture of antipodes stays short, never NaN.
    """
    mixed = weight * a + (1 - weight) * b
    return normalize(mixed, dim=-1) if unit else mixed


def mix_pairs(a: Tensor, b: Tensor, weight: float | Tensor) -> tuple[Tensor, Tensor]:
    """``(mix(a, b, w), mix(b, a, w))``: each row moved by its partner; the sum is kept.

    With unit rows, ``s = <a, b>`` and one number w, the new similarity is
    ``s - 2 w (w - 1) (1 - s)``: below s for w > 1 (a harder positive), above s for w in (0, 1).

    Source: Zhu et al. 2021, Improving Contrastive Learning by Visualizing Feature Transformation,
    arXiv 2108.02982.
    """
    return mix(a, b, weight), mix(b, a, weight)


def draw_beta(
    alpha: float, shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Draws of Beta(alpha, alpha) in (0, 1).

    Args:
        alpha: above 0; 1 is uniform, larger gathers at 1/2.
        shape: of the result.
        like: gives device and dtype.
        generator: of the draw; torch's own if None.

    Raises:
        SettingError: alpha out of range.
    """
    if not alpha > 0:
        raise SettingError(f"Beta(alpha, alpha) needs alpha above 0, got {alpha}.")
    if generator is None:
        return Beta(like.new_tensor(alpha), like.new_tensor(alpha)).sample(shape)
    first, second = (
        torch._standard_gamma(like.new_full(shape, alpha), generator) for _ in range(2)
    )
    return first / (first + second)


def check_hardest(count: int, rows: Tensor) -> None:
    """Refuses a number of hardest rows that is not in ``1..len(rows)``."""
    if not 1 <= count <= len(rows):
        raise SettingError(
            f"The hardest {count} of {len(rows)} rows were asked for; the number must lie in "
            f"1..{len(rows)}."
        )


@torch.no_grad()
def hardest_rows(
    anchors: Tensor,
    rows: Tensor,
    count: int,
    valid: IndexFunction | None = None,
    first: int = 0,
) -> Tensor:
    """The rows most similar to each anchor, by inner product, in blocks.

    Args:
        anchors: float ``(B, D)``.
        rows: float ``(K, D)``.
        count: how many, at most K.
        valid: ``valid(i, j)``, bool; other rows are never chosen.
        first: position of the first anchor, as ``valid`` and messages count.

    Returns:
        int64 ``(B, count)``, most similar first.

    Raises:
        SettingError: count out of range.
        DataError: an anchor with fewer valid rows.

    Source: Kalantidis et al. 2020, Hard Negative Mixing for Contrastive Learning, arXiv 2010.01028.
    """
    check_hardest(count, rows)
    found, there = nearest_candidates(anchors, rows, count, valid, first)
    short = (~there[:, -1]).nonzero().flatten()
    if len(short):
        raise DataError(
            f"Anchor {first + int(short[0])} has fewer than {count} rows to mix; take a smaller "
            "number or a longer queue."
        )
    return found


@dataclass(frozen=True)
class Mixtures:
    """Which rows of a pool are mixed for each anchor, and how.

    Attributes:
        first: int64 ``(B, s)``, a parent of each mixture of two rows.
        second: int64 ``(B, s)``, the other parent.
        alpha: share of the first, in (0, 1), ``(B, s)``.
        partner: int64 ``(B, s')``, the row that is mixed with the anchor itself.
        beta: share of the anchor, in (0, 0.5), ``(B, s')``.
    """

    first: Tensor
    second: Tensor
    alpha: Tensor
    partner: Tensor
    beta: Tensor

    def points(self, anchors: Tensor, pool: Tensor) -> Tensor:
        """The synthetic points ``(B, s + s', D)``, of unit length, without gradient.

        Args:
            anchors: unit rows ``(B, D)``.
            pool: unit rows ``(K, D)``.
        """
        with torch.no_grad():
            of_rows = mix(pool[self.first], pool[self.second], self.alpha[..., None], unit=True)
            of_anchor = mix(anchors[:, None], pool[self.partner], self.beta[..., None], unit=True)
            return torch.cat([of_rows, of_anchor], 1)

    def part(self, rows: slice) -> Mixtures:
        """The mixtures of some anchors."""
        return Mixtures(
            self.first[rows],
            self.second[rows],
            self.alpha[rows],
            self.partner[rows],
            self.beta[rows],
        )

    def similarities(self, anchors: Tensor, pool: Tensor) -> Tensor:
        """Inner products ``(B, s + s')`` of each anchor with its points.

        The gradient reaches the anchors through the products alone. The points are made a block of
        anchors at a time, and again in the backward pass.
        """
        products: Tensor = _Products.apply(anchors, self, pool.detach())
        return products

    def blocks(self, anchors: Tensor, pool: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Some anchors at a time, and their points ``(b, s + s', D)``."""
        width = anchors.shape[1] * (self.first.shape[1] + self.partner.shape[1])
        for part in row_blocks(len(anchors), width):
            yield part, self.part(part).points(anchors[part], pool)


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchors: Tensor, mixtures: Mixtures, pool: Tensor) -> Tensor:
        ctx.mixtures = mixtures
        ctx.save_for_backward(anchors, pool)
        products = anchors.new_empty(
            len(anchors), mixtures.first.shape[1] + mixtures.partner.shape[1]
        )
        for part, points in mixtures.blocks(anchors, pool):
            products[part] = torch.linalg.vecdot(anchors[part, None], points)
        return products

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        anchors, pool = ctx.saved_tensors
        grad = torch.empty_like(anchors)
        for part, points in ctx.mixtures.blocks(anchors, pool):
            grad[part] = (grads[0][part, None] @ points)[:, 0]
        return grad, None, None


def draw_mixtures(
    hard: Tensor,
    pairs: int,
    with_anchor: int,
    like: Tensor,
    generator: torch.Generator | None = None,
) -> Mixtures:
    """Random mixtures of each anchor's hardest rows, fresh for every point.

    Parents are drawn with replacement, alpha uniformly from (0, 1) and beta from (0, 0.5), so that
    the anchor's share is always the smaller one.

    Args:
        hard: int64 ``(B, N)``, see `hardest_rows`.
        pairs: s, mixtures of two rows.
        with_anchor: s', mixtures of the anchor and a row.
        like: gives dtype and device.
        generator: of the draw.

    Raises:
        SettingError: negative numbers.

    Source: Kalantidis et al. 2020, arXiv 2010.01028, Section 3.
    """
    if pairs < 0 or with_anchor < 0:
        raise SettingError(f"Numbers of mixtures must be at least 0, not {pairs}, {with_anchor}.")
    rows, hardest = hard.shape
    device = hard.device

    def parents(count: int) -> Tensor:
        places = torch.randint(hardest, (rows, count), generator=generator, device=device)
        return hard.gather(1, places)

    def shares(count: int) -> Tensor:
        return torch.rand(rows, count, generator=generator, dtype=like.dtype, device=device)

    return Mixtures(
        parents(pairs), parents(pairs), shares(pairs), parents(with_anchor), shares(with_anchor) / 2
    )
