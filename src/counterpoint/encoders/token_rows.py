"""Learning some rows of a token table while the others stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from counterpoint.errors import DataError, SettingError


def only_rows_learn(table: Tensor, rows: Sequence[int]) -> RemovableHandle:
    """Sets the gradient of every other row to zero from now on.

    An optimiser with weight decay still shrinks those rows: give the table none.

    Args:
        table: a leaf ``(V, D)`` that requires a gradient.
        rows: the rows that learn, at least one, in 0 .. V - 1.

    Returns:
        A handle whose ``remove()`` ends it.

    Raises:
        SettingError: no rows, or rows the table does not have.

    Source: Huang et al., "ClassDiffusion", ICLR 2025, arXiv 2405.17532 (modifier tokens).
    """
    wanted = sorted(set(rows))
    if not wanted or wanted[0] < 0 or wanted[-1] >= len(table):
        raise SettingError(f"rows must be some of 0..{len(table) - 1}, got {list(rows)}.")
    kept = torch.zeros(len(table), dtype=torch.bool, device=table.device)
    kept[wanted] = True
    handle: RemovableHandle = table.register_hook(  # type: ignore[no-untyped-call]
        lambda grad: grad.masked_fill(~kept.to(grad.device)[:, None], 0.0)
    )
    return handle


def place_row(hidden: Tensor, ids: Tensor, token: int, row: Tensor) -> Tensor:
    """Hidden states in which every occurrence of a token is the bare row.

    Done after the embedding layer it drops the positional part there, as the released code of
    ClassDiffusion does; ordinary encoding keeps it.

    Args:
        hidden: ``(B, L, D)``.
        ids: int64 ``(B, L)``.
        token: which token.
        row: ``(D,)``, with gradient.

    Raises:
        DataError: shapes that do not fit, or a phrase without the token.
    """
    if ids.shape != hidden.shape[:2] or row.shape != hidden.shape[2:]:
        raise DataError(
            f"hidden (B, L, D), ids (B, L) and row (D,) do not fit: {tuple(hidden.shape)}, "
            f"{tuple(ids.shape)}, {tuple(row.shape)}."
        )
    here = ids == token
    missing = (~here.any(1)).nonzero().flatten()
    if len(missing):
        raise DataError(f"Phrase {int(missing[0])} does not hold token {token}.")
    return torch.where(here[:, :, None], row.to(hidden.dtype), hidden)
