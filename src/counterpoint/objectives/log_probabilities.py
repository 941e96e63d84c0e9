"""Log-probabilities of sequences: from the numbers of a language model to one number a sequence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from counterpoint.engine.checks import check_choice
from counterpoint.engine.similarity import upcast
from counterpoint.errors import DataError

TokenReduction = Literal["sum", "mean"]

CHUNK_NUMBERS = 2**22
"""Numbers of one vocabulary-sized block: tokens of a chunk times size of the vocabulary."""

CLOSEST_TO_CERTAIN = 1e-8
"""A log-probability is taken to be at most minus this where ``1 - P`` is needed."""


def sequence_log_probability(
    logits: Tensor,
    labels: Tensor,
    *,
    head: Tensor | None = None,
    reduction: TokenReduction = "sum",
    shifted: bool = False,
    ignore_index: int = -100,
) -> Tensor:
    """Log-probability of each sequence, ``sum_t log softmax(logits_t)[label_t]``.

    Works on chunks of tokens that are made again in the backward pass, so that besides the logits
    themselves (none, if ``head`` is given) nothing of the size of tokens x vocabulary is held.

    Args:
        logits: ``(B, T, V)``; or, with ``head``, the last hidden states ``(B, T, D)``.
        labels: whole numbers ``(B, T)``; ``ignore_index`` marks tokens that do not count (prompt,
            padding).
        head: output embedding ``(V, D)``; the logits are ``hidden @ head.T``.
        reduction: ``"sum"`` over the tokens that count, or their ``"mean"`` (length-normalised).
        shifted: False: logits at t predict label t + 1, as a causal model gives them; True: logits
            and labels are already aligned.
        ignore_index: label of tokens that do not count.

    Returns:
        ``(B,)``, at least float32. Sum 0 and mean 0 where no token counts; see `active_tokens`.

    Raises:
        DataError: shapes that do not fit, labels that are not whole numbers of the vocabulary.
        SettingError: unknown reduction.
    """
    check_choice(TokenReduction, reduction=reduction)
    if logits.dim() != 3 or labels.shape != logits.shape[:2]:
        raise DataError(
            "logits must be (B, T, V) and labels (B, T); got "
            f"{tuple(logits.shape)} and {tuple(labels.shape)}."
        )
    if head is not None and (head.dim() != 2 or head.shape[1] != logits.shape[2]):
        raise DataError(
            f"head must be (V, {logits.shape[2]}) to fit the hidden states; "
            f"got {tuple(head.shape)}."
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise DataError(f"labels must be whole numbers; got {labels.dtype}.")
    if not shifted:
        labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=ignore_index)
    counted = labels != ignore_index
    vocabulary = logits.shape[2] if head is None else head.shape[0]
    asked = labels[counted]
    if asked.numel() and not bool(((asked >= 0) & (asked < vocabulary)).all()):
        raise DataError(
            f"labels must be in 0..{vocabulary - 1} or {ignore_index} (ignored); "
            f"got {int(asked.min())}..{int(asked.max())}."
        )
    total = _token_log_probabilities(logits, labels.where(counted, 0), head, vocabulary)
    total = total.where(counted, 0.0).sum(1)
    return total / counted.sum(1).clamp(min=1) if reduction == "mean" else total


def _token_log_probabilities(
    logits: Tensor, labels: Tensor, head: Tensor | None, vocabulary: int
) -> Tensor:
    size = max(1, CHUNK_NUMBERS // vocabulary)
    flat, asked = torch.split(logits.flatten(0, 1), size), torch.split(labels.flatten(), size)
    chunks = zip(flat, asked, strict=True)
    found = [checkpoint(_chunk, x, y, head, use_reentrant=False) for x, y in chunks]
    return torch.cat(found).view(labels.shape)


def _chunk(logits: Tensor, labels: Tensor, head: Tensor | None) -> Tensor:
    logits = upcast(logits if head is None else logits @ head.T)
    return logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(1)


def active_tokens(labels: Tensor, *, shifted: bool = False, ignore_index: int = -100) -> Tensor:
    """Number of tokens of each sequence that count, int64 ``(B,)``; arguments as above."""
    return ((labels if shifted else labels[:, 1:]) != ignore_index).sum(1)


def log_one_minus(log_p: Tensor) -> Tensor:
    """``log(1 - exp(log_p))`` for ``log_p <= 0``, without loss of digits at either end.

    Values above -1e-8 are taken as -1e-8 and pass no gradient, so that certainty stays finite.
    """
    clamped = log_p.clamp(max=-CLOSEST_TO_CERTAIN)
    return torch.where(
        clamped > -0.6931,
        (-torch.expm1(clamped)).log(),
        torch.log1p(-clamped.clamp(max=-0.6931).exp()),
    )


def check_log_probabilities(at_most_zero: bool = False, **values: Tensor) -> None:
    """Refuses what cannot be log-probabilities of the same sequences.

    Args:
        at_most_zero: also refuse values above 0, which no probability has.
        values: tensors of one shape, by the names of the caller's arguments.

    Raises:
        DataError: integers, shapes that differ, NaN, infinities, or (if asked) positive values.
    """
    first, shape = next((name, tuple(value.shape)) for name, value in values.items())
    for name, value in values.items():
        if tuple(value.shape) != shape:
            raise DataError(
                f"{name} must have the shape of {first}, one number a sequence; "
                f"got {tuple(value.shape)} and {shape}."
            )
        if not value.is_floating_point():
            raise DataError(f"{name} must be log-probabilities, real numbers; got {value.dtype}.")
        _refuse(name, value, ~torch.isfinite(value.detach()), "NaN or infinite")
        if at_most_zero:
            _refuse(name, value, value.detach() > 0, "above 0, which no log-probability is")


def _refuse(name: str, value: Tensor, bad: Tensor, what: str) -> None:
    where = bad.reshape(bad.shape or (1,)).nonzero()[:, 0]
    if len(where):
        raise DataError(
            f"{name} has {int(bad.sum())} of {value.numel()} values that are {what}, "
            f"the first in row {int(where[0])}."
        )
