"""What an objective costs on this machine, next to the matrix products it cannot do without."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import truediv
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.errors import SettingError, unknown_name
from counterpoint.objectives import functional as F
from counterpoint.progress import OnProgress, Progress

FEWEST_ROWS = 64
PER_CLASS = 8
Step = Callable[[], Tensor]


def bench(
    names: Sequence[str] = (),
    *,
    rows: int = 4096,
    width: int = 128,
    rounds: int = 5,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Times objectives of the softmax family, forward and backward.

    The yardstick are the three products of a dense forward and backward pass, ``S = Z Zᵀ``, ``S Z``
    and ``Sᵀ Z``, which take turns with every objective in the same process, so that a busy machine
    slows both.

    Args:
        names: of ``nt_xent``, ``dcl``, ``supcon``, ``info_nce``, ``clip``, ``cwcl`` and
            ``contrast``, which is given its pairs by a mask; all if none.
        rows: N, the embeddings in a batch (both views together), at least 64.
        width: D.
        rounds: at least 1.
        on_progress: told after each round.

    Returns:
        Plain JSON values: ``{"rows", "width", "threads", "products": seconds, "objectives": {name:
        {"seconds", "over_products", "pairs_per_second"}}}``, seconds the best of the rounds, ratios
        their median.

    Raises:
        SettingError: an unknown name, or a number out of range.
    """
    if rows < FEWEST_ROWS or width < 1 or rounds < 1:
        raise SettingError(
            f"rows must be at least {FEWEST_ROWS}, width and rounds at least 1, got {rows}, "
            f"{width} and {rounds}."
        )
    every = family(rows, width)
    for name in names:
        if name not in every:
            raise unknown_name("objective to time", name, every)
    steps = {name: every[name] for name in names or every}
    z = normalize(torch.randn(rows, width), dim=1)
    bare: list[float] = []
    took: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        differentiate(step)
    for number in range(1, rounds + 1):
        for name, step in steps.items():
            bare.append(_seconds(partial(_products, z)))
            took[name].append(_seconds(partial(differentiate, step)))
        if on_progress is not None:
            on_progress(Progress("bench", number, rounds))
    return {
        "rows": rows,
        "width": width,
        "threads": torch.get_num_threads(),
        "products": min(bare),
        "objectives": {
            name: {
                "seconds": min(took[name]),
                "over_products": median(map(truediv, took[name], bare[first :: len(steps)])),
                "pairs_per_second": rows * rows / min(took[name]),
            }
            for first, name in enumerate(steps)
        },
    }


def family(rows: int, width: int) -> dict[str, Step]:
    """A forward pass of every objective of the softmax family on N rows, by name."""
    half = rows // 2
    z1, z2 = (torch.randn(half, width, requires_grad=True) for _ in range(2))
    x, y = (torch.randn(rows, width, requires_grad=True) for _ in range(2))
    labels = torch.arange(rows) % max(1, rows // PER_CLASS)
    features = torch.randn(rows, width)

    def same(i: Tensor, j: Tensor) -> Tensor:
        return labels[i] == labels[j]

    return {
        "nt_xent": lambda: F.nt_xent(z1, z2),
        "dcl": lambda: F.dcl(z1, z2),
        "supcon": lambda: F.supcon(x, labels),
        "info_nce": lambda: F.info_nce(x, y),
        "clip": lambda: F.clip(x, y),
        "cwcl": lambda: F.cwcl(x, y, features),
        "contrast": lambda: F.contrast(x, y, positive=same),
    }


def differentiate(step: Step) -> None:
    """Forward and backward pass."""
    torch.autograd.backward(step())


def _products(z: Tensor) -> None:
    similarities = z @ z.T
    similarities @ z
    similarities.T @ z


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
