"""A first-in first-out memory of embeddings that serve as candidates of later steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from counterpoint.errors import SettingError


class MemoryQueue(nn.Module):
    """Memory queue: the last ``size`` embeddings, oldest overwritten first.

    Everything, pointer and fill included, is in buffers, so that ``state_dict`` resumes it.

    Args:
        size: rows kept at most, at least 1.
        width: length D of an embedding.
        start: ``"empty"`` grows the queue as rows arrive; ``"random"`` begins full of random
            unit vectors with id and label -1.

    Source: MoCo, He et al. 2020, arXiv 1911.05722, Section 3.2.
    """

    rows: Tensor
    all_ids: Tensor
    all_labels: Tensor
    pointer: Tensor
    fill: Tensor

    def __init__(self, size: int, width: int, start: str = "empty") -> None:
        super().__init__()
        if size < 1 or width < 1:
            raise SettingError(f"A queue needs size and width of at least 1, got {size}, {width}.")
        if start not in ("empty", "random"):
            raise SettingError(f"start must be 'empty' or 'random', got {start!r}.")
        self.size = size
        rows = torch.zeros(size, width)
        if start == "random":
            rows = normalize(torch.randn(size, width), dim=1)
        self.register_buffer("rows", rows)
        self.register_buffer("all_ids", torch.full((size,), -1))
        self.register_buffer("all_labels", torch.full((size,), -1))
        self.register_buffer("pointer", torch.tensor(0))
        self.register_buffer("fill", torch.tensor(size if start == "random" else 0))

    def __len__(self) -> int:
        return int(self.fill)

    @property
    def features(self) -> Tensor:
        """Rows held, ``(len, D)``, in the order of their slots; no gradient."""
        return self.rows[: len(self)].clone()

    @property
    def ids(self) -> Tensor:
        """Sample of each row held, int64 ``(len,)``, -1 where unknown."""
        return self.all_ids[: len(self)].clone()

    @property
    def labels(self) -> Tensor:
        """Class of each row held, int64 ``(len,)``, -1 where unknown."""
        return self.all_labels[: len(self)].clone()

    @torch.no_grad()
    def enqueue(
        self, features: Tensor, ids: Tensor | None = None, labels: Tensor | None = None
    ) -> None:
        """Adds rows; of more rows than the queue holds, the last ``size`` remain.

        Args:
            features: ``(B, D)``.
            ids: sample of each row, int64 ``(B,)``.
            labels: class of each row, int64 ``(B,)``.
        """
        count = features.shape[0]
        slots = (self.pointer + torch.arange(count, device=self.rows.device)) % self.size
        kept = slice(max(count - self.size, 0), None)
        slots = slots[kept]
        self.rows[slots] = features.detach()[kept].to(self.rows.dtype)
        self.all_ids[slots] = -1 if ids is None else ids[kept]
        self.all_labels[slots] = -1 if labels is None else labels[kept]
        self.pointer.copy_((self.pointer + count) % self.size)
        self.fill.copy_((self.fill + count).clamp(max=self.size))
