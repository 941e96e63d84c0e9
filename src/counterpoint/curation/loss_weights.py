"""Weights of the samples of a batch from their own losses."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.engine.ranks import gather_rows, global_value, rank, rows_by_rank
from counterpoint.errors import DataError, SettingError

Strategy = Literal["uniform", "linupper", "quadratic", "extremes", "upper"]

SMALLEST_GAP = 1e-6
"""Losses closer than this count as equal when they are spread over [-delta, delta]."""


def loss_weights(
    losses: Tensor,
    strategy: Strategy = "linupper",
    *,
    temperature: float = 1.0,
    delta: float = 1.0,
    valid: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``softmax_i(f(h_i) / temperature)`` of losses spread over [-delta, delta].

    ``h`` are the `spread_losses`, ``f`` the `emphasis`. The weights do not change if a constant is
    added to all losses or all are scaled. Adding the same samples' weights up gives 1; for
    ``"linupper"`` no weight is above ``exp(delta / temperature)`` times another.

    Args:
        losses: one a sample ``(M,)``; no gradient flows into the weights.
        strategy: ``"linupper"`` lowers the weight of samples with a low loss and treats those above
            the middle of the range alike; ``"quadratic"`` prefers the middle; ``"extremes"`` both
            ends (a control); ``"upper"`` high losses without a cap; ``"uniform"`` is 1/M.
        temperature: above 0; large is uniform. The paper has 1.0 and, for large models, 0.4.
        delta: above 0, the paper has 1.
        valid: bool ``(M,)``; samples without active tokens are False: weight 0, and their losses
            (often NaN) are not looked at.
        across_ranks: the batch is that of all ranks, which costs one gathering of scalars.

    Returns:
        ``(M,)`` of this rank's samples, at least float32, no gradient; above 0 where valid, 0
        elsewhere.

    Raises:
        DataError: losses that are no vector, NaN or infinite where valid.
        SettingError: unknown strategy, temperature or delta not above 0.

    Source: Sow et al., "Dynamic Loss-Based Sample Reweighting for Improved Large Language Model
    Pretraining", ICLR 2025, arXiv 2502.06733.
    """
    if not temperature > 0:
        raise SettingError(f"temperature must be above 0, got {temperature}.")
    values, there, own = _batch(losses, valid, across_ranks)
    shaped = emphasis(_spread(values, there, delta), strategy, delta) / temperature
    weights = shaped.masked_fill(~there, -torch.inf).softmax(0)
    weights = weights.clamp(min=torch.finfo(weights.dtype).tiny).where(there, 0.0)
    return weights[own]


def spread_losses(
    losses: Tensor, *, delta: float = 1.0, valid: Tensor | None = None, across_ranks: bool = False
) -> Tensor:
    """``h_i = delta (2 l_i - max - min) / max(max - min, 1e-6)``, in [-delta, delta].

    Arguments and errors as `loss_weights`; 0 where not valid. Equal losses give 0.
    """
    values, there, own = _batch(losses, valid, across_ranks)
    return _spread(values, there, delta)[own]


def emphasis(spread: Tensor, strategy: Strategy, delta: float = 1.0) -> Tensor:
    """Shape f of a strategy, of `spread_losses`, element by element.

    linupper ``min(h + delta, delta)``; quadratic ``1 - (h / delta)^2``, whose range does not depend
    on delta; extremes ``|h|``; upper ``(h + delta) / 2``; uniform 0.

    Raises:
        SettingError: unknown strategy.
    """
    if strategy == "linupper":
        return (spread + delta).clamp(max=delta)
    if strategy == "quadratic":
        return 1 - (spread / delta).square()
    if strategy == "extremes":
        return spread.abs()
    if strategy == "upper":
        return (spread + delta) / 2
    if strategy == "uniform":
        return torch.zeros_like(spread)
    raise SettingError(
        f"strategy must be one of {', '.join(get_args(Strategy))}; got {strategy!r}."
    )


def weighted_loss(
    losses: Tensor,
    weights: Tensor,
    *,
    tokens: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``sum_i w_i l_i`` over the batch, the loss that `loss_weights` are made for.

    With ``tokens`` it is ``M sum_i w_i (n_i / sum n) l_i``, token counts normalised on each rank,
    as the published trainer of small models does; with samples of one length both are the same.
    With weights 1/M that is the plain mean over tokens.

    Args:
        losses: one a sample ``(m,)``, of this rank.
        weights: ``(m,)``, of this rank; samples of weight 0 are left out even if their loss is NaN.
        tokens: active tokens of each sample ``(m,)``.
        across_ranks: the loss of the batch of all ranks; averaging gradients over ranks then gives
            the gradient of one process that holds all samples.

    Returns:
        ``()``; the gradient flows through the losses alone.

    Source: Sow et al., ICLR 2025, arXiv 2502.06733.
    """
    shapes = {tuple(x.shape) for x in (losses, weights, tokens) if x is not None}
    if len(shapes) != 1 or losses.dim() != 1:
        raise DataError("losses, weights and tokens must have one shape (M,), one a sample.")
    weights = weights.detach()
    if tokens is not None:
        total = tokens.where(weights > 0, 0).sum().clamp(min=1)
        everyone = gather_rows(weights) if across_ranks else weights
        weights = weights * tokens / total * (everyone > 0).sum()
        if across_ranks:
            weights = weights / len(rows_by_rank(len(losses), losses.device))
    loss = (weights * losses.where(weights > 0, 0.0)).sum()
    return global_value(loss) if across_ranks else loss


def _batch(
    losses: Tensor, valid: Tensor | None, across_ranks: bool
) -> tuple[Tensor, Tensor, slice]:
    """Losses of the whole batch, which are valid, and where this rank's own stand."""
    if losses.dim() != 1 or not losses.is_floating_point():
        raise DataError(
            f"losses must be floats (M,), one a sample; got {losses.dtype} {tuple(losses.shape)}."
        )
    there = torch.ones_like(losses, dtype=torch.bool) if valid is None else valid
    if there.dtype != torch.bool or there.shape != losses.shape:
        raise DataError(f"valid must be bool {tuple(losses.shape)}; got {tuple(there.shape)}.")
    values = losses.detach().to(torch.promote_types(losses.dtype, torch.float32)).where(there, 0.0)
    bad = (~torch.isfinite(values)).nonzero().flatten()
    if len(bad):
        raise DataError(
            f"{len(bad)} losses are NaN or infinite, the first of sample {int(bad[0])}. "
            "Mark samples without active tokens in valid."
        )
    if not across_ranks:
        return values, there, slice(None)
    start = sum(rows_by_rank(len(values), values.device)[: rank()])
    own = slice(start, start + len(values))
    return gather_rows(values), gather_rows(there), own


def _spread(values: Tensor, there: Tensor, delta: float) -> Tensor:
    if not delta > 0:
        raise SettingError(f"delta must be above 0, got {delta}.")
    if not bool(there.any()):
        return torch.zeros_like(values)
    low, high = values[there].aminmax()
    spread = delta * (2 * values - high - low) / (high - low).clamp(min=SMALLEST_GAP)
    return spread.where(there, 0.0)
