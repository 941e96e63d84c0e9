"""Feed-forward blocks extended into experts, one a field of knowledge."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from counterpoint.errors import DataError, SettingError


class GatedFeedForward(nn.Module):
    """``Wo(gelu(first half of Wi h) * second half of Wi h)``, with the exact gelu.

    Args:
        width: length D of a hidden state.
        hidden: width of the gated layer; ``Wi`` has twice as many outputs.
        bias: of both linear layers.
    """

    def __init__(self, width: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        self.Wi = nn.Linear(width, 2 * hidden, bias=bias)
        self.Wo = nn.Linear(hidden, width, bias=bias)

    def forward(self, h: Tensor) -> Tensor:
        """``(..., D)`` to ``(..., D)``."""
        signal, gate = self.Wi(h).chunk(2, dim=-1)
        out: Tensor = self.Wo(gelu(signal) * gate)
        return out


class RoutedExperts(nn.Module):
    """Copies of a block; the known field of an example says which one it passes through.

    No router and no mixing weight: all tokens of example i go through ``E_{r_i}``, at the cost of
    the dense block. All experts begin as copies, so that right after the extension the model
    computes what it did. Make the optimiser afterwards. An expert whose field is not in the batch
    gets no gradient (None); weight decay would still shrink it unless such gradients are skipped.

    Args:
        block: the dense block, ``(..., D)`` to ``(..., D)``, row by row.
        experts: number E, at least 1.

    Source: Hallee et al., "Contrastive Learning and Mixture of Experts Enables Precise Vector
    Embeddings", Scientific Reports 2025, arXiv 2401.15713.
    """

    def __init__(self, block: nn.Module, experts: int) -> None:
        super().__init__()
        if experts < 1:
            raise SettingError(f"experts must be at least 1, got {experts}.")
        self.experts = nn.ModuleList(copy.deepcopy(block) for _ in range(experts))

    def forward(self, h: Tensor, assignment: Tensor) -> Tensor:
        """Routes hidden states.

        Args:
            h: ``(B, L, D)``.
            assignment: int64 ``(B,)``, an expert an example; or ``(B, L)``, an expert a token.

        Returns:
            ``(B, L, D)`` in the order given.

        Raises:
            DataError: an assignment of another shape or to an expert that does not exist.
        """
        if assignment.shape not in (h.shape[:1], h.shape[:2]):
            raise DataError(
                f"assignment must be {tuple(h.shape[:1])} or {tuple(h.shape[:2])}; "
                f"got {tuple(assignment.shape)}."
            )
        count = len(self.experts)
        outside = ((assignment < 0) | (assignment >= count)).flatten().nonzero().flatten()
        if len(outside):
            value = int(assignment.flatten()[outside[0]])
            raise DataError(f"Expert {value} does not exist; there are 0..{count - 1}.")
        groups = [(assignment == e).nonzero(as_tuple=True) for e in range(count)]
        parts = [
            (where, expert(h[where]))
            for where, expert in zip(groups, self.experts, strict=True)
            if len(where[0])
        ]
        if not parts:
            return h
        out = torch.empty_like(h, dtype=parts[0][1].dtype)
        for where, part in parts:
            out = out.index_put(where, part)
        return out


class SwitchExperts(nn.Module):
    """Copies of a block under a learned router, the earlier variants of the paper.

    Router logits are ``W h`` without bias, averaged over the tokens of an example unless
    ``per_token``. With ``top_k`` 1 the best expert alone is used, without weight, and the router
    learns from auxiliary losses only (`counterpoint.objectives.routing`). With more, the outputs of
    the k best are summed with their softmax probabilities, which are renormalised only per token.

    Args:
        block: the dense block, row by row.
        experts: number E.
        width: length D of a hidden state.
        top_k: experts used, 1 .. E.
        per_token: route every token on its own.

    Source: Hallee et al. 2024, arXiv 2401.15713, earlier versions.
    """

    def __init__(
        self, block: nn.Module, experts: int, width: int, *, top_k: int = 1, per_token: bool = False
    ) -> None:
        super().__init__()
        if not 1 <= top_k <= experts:
            raise SettingError(f"top_k must be in 1..{experts}, got {top_k}.")
        self.router = nn.Linear(width, experts, bias=False)
        self.routed = RoutedExperts(block, experts)
        self.top_k, self.per_token = top_k, per_token

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Output ``(B, L, D)``, and router logits ``(B, E)`` or per token ``(B, L, E)``."""
        logits = self.router(h)
        logits = logits if self.per_token else logits.mean(1)
        if self.top_k == 1:
            return self.routed(h, logits.argmax(-1)), logits
        weights, chosen = logits.softmax(-1).topk(self.top_k, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True) if self.per_token else weights[:, None]
        parts = [
            weights[..., place, None] * self.routed(h, chosen[..., place])
            for place in range(self.top_k)
        ]
        return torch.stack(parts).sum(0), logits
