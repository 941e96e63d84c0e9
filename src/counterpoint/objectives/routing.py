"""Auxiliary losses of routers of experts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from counterpoint.errors import DataError


def load_balance(logits: Tensor) -> Tensor:
    """``E sum_e P_e F_e``: mean router probability times the share of examples routed to e.

    Args:
        logits: of the router ``(B, E)``; the gradient flows through P alone.

    Returns:
        ``()``; 1 if both are even.

    Source: Fedus et al., "Switch Transformers", JMLR 2022, Eq. 4; Hallee et al. 2025, arXiv
    2401.15713.
    """
    _check(logits)
    experts = logits.shape[1]
    share = torch.bincount(logits.argmax(1), minlength=experts) / len(logits)
    return experts * (logits.softmax(1).mean(0) * share.to(logits.dtype)).sum()


def specified_expert(logits: Tensor, fields: Tensor) -> Tensor:
    """Cross entropy of the router logits, averaged over layers, against the true field.

    Args:
        logits: ``(layers, B, E)``.
        fields: int64 ``(B,)``.

    Returns:
        ``()``.

    Source: Hallee et al., Scientific Reports 2025, arXiv 2401.15713.
    """
    if logits.dim() != 3:
        raise DataError(f"logits must be (layers, B, E), got {tuple(logits.shape)}.")
    _check(logits[0])
    return cross_entropy(logits.mean(0), fields)


def _check(logits: Tensor) -> None:
    if logits.dim() != 2 or logits.numel() == 0:
        raise DataError(f"logits must be (B, E) with at least one row, got {tuple(logits.shape)}.")
