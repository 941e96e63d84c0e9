"""Weights from how far apart the targets of two rows lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LabelDistance:
    """``kernel(|y_i - y_j|)``, as a weight, or as a mask where the kernel gives bools.

    Args:
        anchor_targets: float ``(N,)``.
        candidate_targets: float ``(M,)``.
        kernel: of distances, e.g. ``lambda d: torch.exp(-d**2)`` or ``lambda d: d < 0.1``.
    """

    anchor_targets: Tensor
    candidate_targets: Tensor
    kernel: Callable[[Tensor], Tensor]

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        return self.kernel((self.anchor_targets[i] - self.candidate_targets[j]).abs())
