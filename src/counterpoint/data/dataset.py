"""The one shape in which every source of data reaches views, training and probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from counterpoint.data.items import Chosen, gather

Modality = Literal["images", "text"]


@dataclass(frozen=True)
class Problem:
    """An odd item, reported by name and never silently dropped.

    Attributes:
        where: file, or file and row.
        what: what is wrong with it, in words.
        used: whether it is among the samples all the same.
    """

    where: str
    what: str
    used: bool = False


@dataclass(frozen=True)
class Split:
    """Samples in a fixed order.

    Attributes:
        items: raw samples, decoded when asked for: uint8 images ``(C, H, W)`` or strings.
        names: what to call each sample in tables and errors (file name, row).
        labels: class of each sample, int64 ``(N,)``, -1 where it is missing; None without labels.
        extras: further per-sample values ``(N, ...)``, such as ``domain`` or ``target``.
        partners: the other half of each sample where the source has pairs (the code that a
            sentence describes), in the same order; None otherwise.
    """

    items: Sequence[Any]
    names: Sequence[str]
    labels: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    partners: Sequence[Any] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def take(self, index: Tensor | Sequence[int]) -> Split:
        """The samples at ``index``, in that order; items stay undecoded."""
        rows = torch.as_tensor(index, dtype=torch.long)
        return Split(
            items=Chosen(self.items, rows),
            names=[self.names[i] for i in rows.tolist()],
            labels=None if self.labels is None else self.labels[rows],
            extras={key: value[rows] for key, value in self.extras.items()},
            partners=None if self.partners is None else Chosen(self.partners, rows),
        )

    def gather(self, index: Tensor | Sequence[int]) -> Any:
        """The raw samples at ``index``: uint8 ``(B, C, H, W)`` for images, else a list."""
        return gather(self.items, torch.as_tensor(index, dtype=torch.long))


@dataclass(frozen=True)
class Dataset:
    """A data set split into what is learnt from and what is held out.

    Attributes:
        name: as the user named it.
        modality: ``"images"`` or ``"text"``.
        train: samples that methods and probes learn from.
        test: held-out samples, on which probes are scored.
        classes: class names by label; empty without labels.
        channels: image channels (1 or 3); 0 for text.
        size: image height and width in pixels that encoders see; 0 for text.
        mirror: whether a mirrored image keeps its meaning (photographs do, characters do not).
        held_out: how the test split was chosen, in words.
        problems: what could not be read, or is odd.
    """

    name: str
    modality: Modality
    train: Split
    test: Split
    classes: tuple[str, ...] = ()
    channels: int = 0
    size: int = 0
    mirror: bool = False
    held_out: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def labelled(self) -> bool:
        return self.train.labels is not None and self.test.labels is not None

    def describe(self) -> dict[str, Any]:
        """What a report prints about the data; plain JSON values."""
        return {
            "name": self.name,
            "modality": self.modality,
            "train": len(self.train),
            "test": len(self.test),
            "classes": len(self.classes),
            "channels": self.channels,
            "size": self.size,
            "held_out": self.held_out,
            "problems": [{"where": p.where, "what": p.what, "used": p.used} for p in self.problems],
        }
