"""POT: every node's contrast stays positive whichever edges are dropped."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from counterpoint.encoders.graph_convolution import TwoConvolutions
from counterpoint.engine.checks import check_choice, prepare, same_rows
from counterpoint.errors import DataError
from counterpoint.objectives.graph_bounds import Lines, WeightBounds, activation_lines, among
from counterpoint.objectives.registry import Loss, objective

Mode = Literal["code", "exact"]

SOURCE = "Wang et al. 2023, Provable Training for Graph Contrastive Learning, arXiv 2309.13944"


@objective(
    inputs="graph",
    across_ranks="a rank holds the whole graph, or one of its own; ranks average it",
    source=SOURCE,
)
def pot(
    z1: Tensor,
    z2: Tensor,
    encoder: TwoConvolutions,
    x: Tensor,
    views: tuple[Tensor, Tensor],
    bounds: tuple[WeightBounds, WeightBounds],
    *,
    nodes: Tensor | None = None,
    mode: Mode = "code",
) -> Tensor:
    """``mean_i softplus(-score_i)`` of `compactness`, averaged over the two views.

    A regulariser: add it to the loss of the host, ``(1 - kappa) nt_xent(g(z1), g(z2), t) + kappa
    pot(...)`` for GRACE with its projection head g. A value that stays at log 2 means embeddings of
    one direction; a falling one may only mean longer embeddings.

    Args:
        z1: embeddings of view 1, not projected, float ``(N, D)``.
        z2: of view 2, float ``(N, D)``.
        encoder: what made them.
        x: features, float ``(N, F)``.
        views: weights of the two views, sparse ``(N, N)``, see
            `counterpoint.encoders.graph_convolution.convolution_weights`.
        bounds: of the two drop rates, see `counterpoint.objectives.graph_bounds.weight_bounds`.
        nodes: a batch of distinct nodes, int64 ``(n,)``; None for all.
        mode: see `compactness`.

    Returns:
        ``()``; 0 with a single node.

    Raises:
        DataError: inputs that do not fit, NaN, infinity.
        SettingError: unknown mode; a slope of the activation outside [0, 1].

    Source: Wang et al. 2023, POT, NeurIPS 2023, arXiv 2309.13944.
    """
    if (len(z1) if nodes is None else len(nodes)) == 1:
        return 0.0 * (z1.sum() + z2.sum())
    losses = [
        softplus(-compactness(other, encoder, x, view, bound, nodes=nodes, mode=mode)).mean()
        for other, view, bound in zip((z2, z1), views, bounds, strict=True)
    ]
    return (losses[0] + losses[1]) / 2


def compactness(
    other: Tensor,
    encoder: TwoConvolutions,
    x: Tensor,
    view: Tensor,
    bounds: WeightBounds,
    *,
    nodes: Tensor | None = None,
    mode: Mode = "code",
) -> Tensor:
    """A bound of ``<z_i, w_i>``, z the encoder's output on a view, w the `contrast_weights`.

    Each activation is replaced by lines that hold for every view within the bounds, below where its
    coefficient is positive and above where it is negative; what remains is linear in the features.

    - ``"code"``: as the authors ran it, two sparse products. Neighbours bring their own
      coefficients, the view is read from target to source, and the second layer's interval takes
      the first layer of the whole graph for certain: not a true lower bound.
    - ``"exact"``: all coefficients are those of node i, and the first layer's uncertainty enters
      the second's: never above the contrast of a view within the budgets. For analysis.

    Args:
        other: embeddings of the other view, float ``(N, D)``.
        encoder: of both views.
        x: features, float ``(N, F)``.
        view: weights of this view, sparse ``(N, N)``.
        bounds: of this view's drop rate.
        nodes: a batch, int64 ``(n,)``, at least 2 distinct; in mode ``"code"`` neighbours outside
            of it are lost. None for all.
        mode: see above.

    Returns:
        ``(n,)``. Divide by the length of z before comparing encoders.

    Raises:
        DataError: inputs that do not fit, NaN, infinity, fewer than 2 nodes.
        SettingError: unknown mode; a slope of the activation outside [0, 1].

    Source: Wang et al. 2023, POT, arXiv 2309.13944; the exact mode is the bound of Zhang et al.
    2018, CROWN, worked out for two graph convolutions.
    """
    check_choice(Mode, mode=mode)
    _check(other, encoder, x, view, bounds)
    weights = contrast_weights(other, nodes)
    if mode == "exact":
        return _exact(weights, encoder, x, view, bounds, nodes)
    return _as_run(weights, encoder, x, view, bounds, nodes)


def contrast_weights(other: Tensor, nodes: Tensor | None = None) -> Tensor:
    """``w_i = v_i - mean_{j != i} v_j``, v the unit embeddings of the other view.

    Args:
        other: float ``(N, D)``; a zero row stays zero.
        nodes: the batch that i and j run over, int64 ``(n,)``; None for all.

    Returns:
        ``(n, D)``.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity, fewer than 2 nodes.

    Source: Wang et al. 2023, POT, arXiv 2309.13944.
    """
    (unit,) = prepare(True, other=other)
    unit = unit if nodes is None else unit[nodes]
    if len(unit) < 2:
        raise DataError("A contrast needs at least 2 nodes.")
    return unit - (unit.sum(0) - unit) / (len(unit) - 1)


def _as_run(
    weights: Tensor,
    encoder: TwoConvolutions,
    x: Tensor,
    view: Tensor,
    bounds: WeightBounds,
    nodes: Tensor | None,
) -> Tensor:
    first, second = encoder.first, encoder.second
    projected = encoder.hidden(x, bounds.whole) @ second.weight.T
    if nodes is not None:
        projected, x, bounds = projected[nodes], x[nodes], bounds.among(nodes)
        view = among(view, nodes)
    reached = x @ first.weight.T
    lines1 = _lines(bounds.interval(reached, reached), encoder, first.bias)
    lines2 = _lines(bounds.interval(projected, projected), encoder, second.bias)
    back2, constant2 = _back(weights, lines2, second.weight, second.bias)
    back1, constant1 = _back(back2, lines1, first.weight, first.bias)
    backwards = view.t()
    score = torch.linalg.vecdot(x, back1)[:, None]
    score = torch.sparse.mm(backwards, score) + constant1[:, None]
    total: Tensor = torch.sparse.mm(backwards, score)[:, 0] + constant2
    return total


def _exact(
    weights: Tensor,
    encoder: TwoConvolutions,
    x: Tensor,
    view: Tensor,
    bounds: WeightBounds,
    nodes: Tensor | None,
) -> Tensor:
    first, second = encoder.first, encoder.second
    reached = x @ first.weight.T
    interval1 = _shifted(bounds.interval(reached, reached), first.bias)
    lines1 = activation_lines(*interval1, encoder.slope)
    low, high = (_activation(end, encoder.slope) for end in interval1)
    up, down = second.weight.clamp(min=0).T, second.weight.clamp(max=0).T
    interval2 = bounds.interval(low @ up + high @ down, high @ up + low @ down)
    lines2 = _lines(interval2, encoder, second.bias)
    rows = slice(None) if nodes is None else nodes
    own = Lines(lines2.slope[rows], lines2.above[rows])
    back2, constant2 = _back(weights, own, second.weight, second.bias)
    inner = encoder.before(first, x, view)
    below = torch.sparse.mm(view, lines1.slope * inner)[rows]
    raised = torch.sparse.mm(view, lines1.slope * lines1.above)[rows]
    total: Tensor = (back2 * below + back2.clamp(max=0) * raised).sum(1) + constant2
    return total


def _back(coefficient: Tensor, lines: Lines, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Through the lines and the linear map of a layer: new coefficients, and the constant."""
    through = coefficient * lines.slope
    return through @ weight, (through * (bias + lines.offset(coefficient))).sum(1)


def _lines(interval: tuple[Tensor, Tensor], encoder: TwoConvolutions, bias: Tensor) -> Lines:
    return activation_lines(*_shifted(interval, bias), encoder.slope)


def _shifted(interval: tuple[Tensor, Tensor], bias: Tensor) -> tuple[Tensor, Tensor]:
    return interval[0] + bias, interval[1] + bias


def _activation(x: Tensor, slope: float) -> Tensor:
    return torch.where(x >= 0, x, slope * x)


def _check(
    other: Tensor, encoder: TwoConvolutions, x: Tensor, view: Tensor, bounds: WeightBounds
) -> None:
    count = same_rows(other=other, x=x)
    prepare(False, x=x)
    for name, matrix in (("view", view), ("bounds", bounds.whole)):
        if matrix.shape != (count, count) or not matrix.is_sparse:
            raise DataError(f"{name} must be sparse ({count}, {count}).")
    inner = encoder.first.weight.dtype
    if inner != x.dtype:
        raise DataError(f"The encoder computes in {inner} and x is {x.dtype}; convert one of them.")
    if x.shape[1] != encoder.first.in_features:
        raise DataError(f"x must have width {encoder.first.in_features}, got {x.shape[1]}.")
    if other.shape[1:] != (encoder.second.out_features,):
        raise DataError(f"Embeddings must have width {encoder.second.out_features}.")


class POT(Loss, function=pot):
    """`counterpoint.objectives.functional.pot` as a module."""

    def __init__(self, *, mode: Mode = "code") -> None:
        super().__init__(mode=mode)

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        encoder: TwoConvolutions,
        x: Tensor,
        views: tuple[Tensor, Tensor],
        bounds: tuple[WeightBounds, WeightBounds],
        *,
        nodes: Tensor | None = None,
    ) -> Tensor:
        return self.call(z1, z2, encoder=encoder, x=x, views=views, bounds=bounds, nodes=nodes)
