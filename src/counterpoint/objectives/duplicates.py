"""What ``ids=`` of an objective means for its pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.engine.ranks import global_positions
from counterpoint.engine.terms import IndexFunction
from counterpoint.pairs.duplicates import NO_ID, NotDuplicates
from counterpoint.pairs.same_label import UNKNOWN

NO_KEY = -1


def in_views(
    ids: Tensor | None, rows: int, across_ranks: bool, views: tuple[int, int] = (1, 1)
) -> IndexFunction | None:
    """Pairs that are no duplicates, or views of one sample; None without ids.

    Args:
        ids: int64 ``(rows,)``.
        rows: samples on this rank.
        across_ranks: whether positions run over all ranks.
        views: how many views stand one below the other in anchors and in candidates.
    """
    if ids is None:
        return None
    ids = check_integers("ids", ids, rows)
    keys = global_positions(ids, across_ranks)
    anchors, candidates = views
    pairs = NotDuplicates(
        ids.repeat(anchors), ids.repeat(candidates), keys.repeat(anchors), keys.repeat(candidates)
    )
    return pairs.over_ranks() if across_ranks else pairs


def in_classes(
    ids: Tensor | None, labels: Tensor, across_ranks: bool, decoupled: bool = False
) -> IndexFunction | None:
    """Pairs that are no duplicates, or of one class; None for all.

    Args:
        ids: int64 ``(N,)``.
        labels: int64 ``(N,)``, -1 where unknown.
        across_ranks: whether positions run over all ranks.
        decoupled: only pairs of different classes that are no duplicates either.
    """
    if ids is None and not decoupled:
        return None
    alone = UNKNOWN - 1 - global_positions(labels, across_ranks)
    keys = torch.where(labels == UNKNOWN, alone, labels)
    ids = keys if ids is None else check_integers("ids", ids, len(labels))
    pairs = NotDuplicates(ids, ids, None if decoupled else keys, None if decoupled else keys)
    classes = NotDuplicates(keys, keys)
    if across_ranks:
        pairs, classes = pairs.over_ranks(), classes.over_ranks()
    if not decoupled:
        return pairs
    return lambda i, j: pairs(i, j) & classes(i, j)


def in_bank(
    ids: Tensor | None,
    bank_ids: Tensor | None,
    rows: int,
    banked: int,
    in_batch: bool,
    across_ranks: bool,
) -> IndexFunction | None:
    """Pairs of anchors with ``[batch, bank]`` or ``[bank]`` that are no duplicates.

    Args:
        ids: int64 ``(rows,)``; None and nothing is a duplicate.
        bank_ids: int64 ``(banked,)``; None and no row of the bank is.
        rows: anchors on this rank.
        banked: rows of the bank on this rank.
        in_batch: whether the candidates begin with those of the batch.
        across_ranks: whether positions run over all ranks.
    """
    if ids is None:
        return None
    ids = check_integers("ids", ids, rows)
    bank_ids = _bank_ids(bank_ids, banked, ids)
    keys, bank_keys = global_positions(ids, across_ranks), torch.full_like(bank_ids, NO_KEY)
    pairs = NotDuplicates(
        ids,
        torch.cat([ids, bank_ids]) if in_batch else bank_ids,
        keys,
        torch.cat([keys, bank_keys]) if in_batch else bank_keys,
    )
    return pairs.over_ranks() if across_ranks else pairs


def negatives_only(
    ids: Tensor | None,
    bank_ids: Tensor | None,
    anchors: Tensor,
    banked: int,
    in_batch: bool,
    across_ranks: bool,
) -> NotDuplicates:
    """As `in_bank`, with the positive of each anchor left out too; ids default to positions."""
    ids = global_positions(anchors, across_ranks) if ids is None else ids
    ids = check_integers("ids", ids, len(anchors))
    bank_ids = _bank_ids(bank_ids, banked, ids)
    pairs = NotDuplicates(ids, torch.cat([ids, bank_ids]) if in_batch else bank_ids)
    return pairs.over_ranks() if across_ranks else pairs


def _bank_ids(bank_ids: Tensor | None, banked: int, ids: Tensor) -> Tensor:
    bank_ids = ids.new_full((banked,), NO_ID) if bank_ids is None else bank_ids
    return check_integers("negative_ids", bank_ids, banked)
