"""Rows on the unit sphere, the temperature, and the precision all sums are taken in."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

LOG2E = 1.4426950408889634
LN2 = 0.6931471805599453
NO_DOUBLE_BACKWARD = (
    "counterpoint's engine has no double backward (create_graph=True): it never holds the matrix "
    "of similarities. For second derivatives write the dense formula for a small batch, "
    "e.g. torch.nn.functional.cross_entropy(a @ c.T / temperature, torch.arange(len(a)))."
)


def refuse_double_backward() -> None:
    """Raises in a backward pass that is itself to be differentiated."""
    if torch.is_grad_enabled():
        raise NotImplementedError(NO_DOUBLE_BACKWARD)


def upcast(x: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


class _UnitRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = torch.where(norm > 0, 1 / norm, 1.0)
        unit = x * inverse
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        refuse_double_backward()
        unit, inverse = ctx.saved_tensors
        with without_autocast(unit):
            along = torch.linalg.vecdot(unit, grads[0]).unsqueeze(-1)
        return torch.addcmul(grads[0], unit, along, value=-1).mul_(inverse)


def unit_rows(x: Tensor) -> Tensor:
    """``x / ||x||`` of every row; a zero row stays zero and passes its gradient on unscaled.

    Args:
        x: ``(N, D)``.
    """
    unit: Tensor = _UnitRows.apply(x)
    return unit


def copies_gradient(x: Tensor) -> bool:
    """Whether the gradient handed to x is left as it is, so that it may be kept for another use."""
    return not x.requires_grad or type(x.grad_fn).__name__ == f"{_UnitRows.__name__}Backward"


def safe_range(dtype: torch.dtype) -> float:
    """Largest ``|log2|`` of an exponential that may be summed without a shift."""
    return 900.0 if dtype == torch.float64 else 80.0


def logit_bound(anchors: Tensor, candidates: Tensor, scale: Tensor) -> float:
    """An upper bound of ``|scale * <a, c>| / ln 2`` over all pairs."""
    longest = torch.linalg.vector_norm(anchors, dim=-1) * scale
    reach = torch.linalg.vector_norm(candidates, dim=-1).amax()
    return float(longest.amax() * reach) * LOG2E


def without_autocast(x: Tensor) -> torch.autocast:
    """A context in which matrix products keep the precision of their operands."""
    return torch.autocast(x.device.type, enabled=False)


_half_inputs: ContextVar[bool] = ContextVar("half_inputs", default=False)
MANY_PAIRS = 2**20
"""From so many on, products of bfloat16 gain more than their conversion takes."""


@contextmanager
def half_inputs() -> Iterator[None]:
    """Inside, embeddings come from bfloat16, and products of many pairs need no more than that."""
    token = _half_inputs.set(True)
    try:
        yield
    finally:
        _half_inputs.reset(token)


def wants_half(x: Tensor, y: Tensor) -> bool:
    """Whether products of rows ``(N, D)`` and ``(M, D)`` are to be those of bfloat16."""
    return (
        _half_inputs.get()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and len(x) * len(y) >= MANY_PAIRS
        and _has_half_products()
    )


@functools.cache
def _has_half_products() -> bool:
    mkldnn: Any = torch.backends.mkldnn
    return (
        mkldnn.is_available()
        and hasattr(mkldnn, "matmul")
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


@contextmanager
def products(x: Tensor, half: bool) -> Iterator[None]:
    """As `without_autocast`; with ``half`` operands may be rounded to bfloat16, sums stay float32.

    That switch of torch is one of the process, and is put back at the end.
    """
    with without_autocast(x):
        if not half:
            yield
            return
        mkldnn: Any = torch.backends.mkldnn
        matmul = mkldnn.matmul
        before, matmul.fp32_precision = matmul.fp32_precision, "bf16"
        try:
            yield
        finally:
            matmul.fp32_precision = before
