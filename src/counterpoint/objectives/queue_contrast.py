"""One-way contrast against a memory queue: the losses of ESimCSE and Contriever."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.ranks import peer_sum, total_over_ranks
from counterpoint.engine.similarity import unit_rows
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.registry import Loss, objective

CONTRIEVER = (
    "Izacard et al. 2022, Unsupervised Dense Information Retrieval with Contrastive Learning, "
    "arXiv 2112.09118"
)


@objective(
    inputs="queue",
    across_ranks="in-batch negatives and queues of all ranks; mean over all anchors",
    source="Wu et al. 2022, ESimCSE, arXiv 2109.04380",
)
def esimcse(
    z1: Tensor,
    z2: Tensor,
    queue: Tensor | None = None,
    temperature: Temperature = 0.05,
    *,
    decoupled: bool = False,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    queue_ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """`info_nce` of z1 against z2 with the queue as further negatives, on the unit sphere.

    ``-s(z1_i, z2_i) / t + log(sum_j exp(s(z1_i, z2_j) / t) + sum_m exp(s(z1_i, q_m) / t))``

    With an empty queue this is SimCSE; rows in the queue never lower the loss. Take it with
    repeated tokens in the second view (`counterpoint.views.repeated_tokens`) and a queue of about
    2.5 batches of first views through a momentum encoder without dropout, enqueued after the loss.

    Args:
        z1: embeddings of the unchanged sentences ``(N, D)``.
        z2: of the same sentences with repeated tokens ``(N, D)``.
        queue: embeddings of earlier batches ``(M, D)``, no gradient; None or no rows for none.
        temperature: positive; number, learnable scalar or one an anchor.
        decoupled: leave the positive out of the denominator.
        reduction: over anchors.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        queue_ids: int64 ``(M,)``; the same for the queue.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings or ids that do not fit, NaN, infinity.
        SettingError: temperature or reduction out of range.

    Source: Wu et al., "ESimCSE", COLING 2022, arXiv 2109.04380.
    """
    full = queue is not None and len(queue) > 0
    return info_nce(
        z1,
        z2,
        temperature,
        negatives=queue.detach().to(z1) if full and queue is not None else None,
        decoupled=decoupled,
        reduction=reduction,
        ids=ids,
        negative_ids=queue_ids if full else None,
        across_ranks=across_ranks,
    )


@objective(
    inputs="queue",
    across_ranks="a rank has its own anchors and its copy of the queue; ranks average it",
    ranks="rows",
    source=CONTRIEVER,
)
def contriever(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    temperature: Temperature = 0.05,
    *,
    label_smoothing: float = 0.0,
    normalize_queries: bool = False,
    normalize_keys: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy of the own key against the queue, on dot products.

    With logits ``l_0 = q_i . k_i / t`` and ``l_m = q_i . Q_m / t``::

        log sum_{0..M} exp(l) - (1 - s) l_0 - s mean_{0..M} l

    The other keys of the batch are not negatives. Order of a step: encode the queries, update the
    momentum encoder, encode the keys, this loss, enqueue the keys (afterwards, else the positive is
    among the negatives). The queue is used as stored. Without smoothing and with both sides
    normalised this is ``info_nce(q, k, t, negatives=Q, in_batch=False)`` for unit rows Q.

    Args:
        queries: ``(N, D)``, with gradient.
        keys: of the momentum encoder ``(N, D)``, no gradient.
        queue: ``(M, D)``, M at least 1, no gradient.
        temperature: positive; number, learnable scalar or one a query.
        label_smoothing: s in [0, 1).
        normalize_queries: divide every query by its length.
        normalize_keys: divide every key by its length; enqueue the normalised ones then.
        reduction: over queries.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Izacard et al., "Unsupervised Dense Information Retrieval with Contrastive Learning",
    TMLR 2022, arXiv 2112.09118, released ``moco.py``.
    """
    check_reduction(reduction)
    same_rows(queries=queries, keys=keys)
    q, k, bank = prepare(False, queries=queries, keys=keys.detach(), queue=queue.detach())
    q = unit_rows(q) if normalize_queries else q
    k = unit_rows(k) if normalize_keys else k
    scale = inverse_temperature(temperature, len(q), q)
    own = scale * torch.linalg.vecdot(q, k)
    mean = (k + bank.sum(0)) / (1 + len(bank))
    loss, _ = one_way(
        q,
        bank,
        scale,
        Terms(),
        pull=scale * torch.linalg.vecdot(q, _smoothed(k, mean, label_smoothing)),
        extra=own[:, None],
        reduction=reduction,
    )
    return loss


@objective(
    inputs="pairs",
    across_ranks="passages of all ranks are candidates; mean over all queries",
    source=CONTRIEVER,
)
def contriever_in_batch(
    queries: Tensor,
    passages: Tensor,
    temperature: Temperature = 1.0,
    *,
    label_smoothing: float = 0.0,
    normalize: bool = False,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """Cross entropy of query i against all passages, of which passage i is its own.

    ``log sum_j exp(l_ij) - (1 - s) l_ii - s mean_j l_ij`` with ``l_ij = q_i . p_j / t``; one way,
    with gradient through both sides. Passages beyond the first N are hard negatives, shared by all
    queries. Without smoothing this is `info_nce` with ``negatives`` = the hard ones; the form for
    fine-tuning on labelled queries.

    Args:
        queries: ``(N, D)``.
        passages: ``(M, D)``, M at least N; row i is the passage of query i.
        temperature: positive; number, learnable scalar or one a query. 0.05 in the runs.
        label_smoothing: s in [0, 1).
        normalize: divide every row by its length.
        reduction: over queries.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings that do not fit, fewer passages than queries, NaN, infinity.
        SettingError: a setting out of range.

    Source: Izacard et al., "Unsupervised Dense Information Retrieval with Contrastive Learning",
    TMLR 2022, arXiv 2112.09118, released ``inbatch.py``.
    """
    check_reduction(reduction)
    q, p = prepare(normalize, queries=queries, passages=passages)
    if len(p) < len(q):
        raise DataError(f"{len(q)} queries need as many passages at least; there are {len(p)}.")
    scale = inverse_temperature(temperature, len(q), q)
    total, count = p.sum(0), p.new_tensor(float(len(p)))
    if across_ranks:
        total, count = total_over_ranks(total), peer_sum(count)
    towards = _smoothed(p[: len(q)], total / count, label_smoothing)
    loss, _ = one_way(
        q,
        p,
        scale,
        Terms(),
        pull=scale * torch.linalg.vecdot(q, towards),
        reduction=reduction,
        across_ranks=across_ranks,
    )
    return loss


def _smoothed(own: Tensor, mean: Tensor, smoothing: float) -> Tensor:
    """The candidate that a smoothed target pulls towards."""
    if not 0 <= smoothing < 1:
        raise SettingError(f"label_smoothing must be in [0, 1), got {smoothing}.")
    return (1 - smoothing) * own + smoothing * mean


class ESimCSE(Loss, function=esimcse):
    """`counterpoint.objectives.functional.esimcse` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.05,
        *,
        decoupled: bool = False,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            decoupled=decoupled,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        queue: Tensor | None = None,
        *,
        ids: Tensor | None = None,
        queue_ids: Tensor | None = None,
    ) -> Tensor:
        return self.call(z1, z2, queue=queue, ids=ids, queue_ids=queue_ids)


class Contriever(Loss, function=contriever):
    """`counterpoint.objectives.functional.contriever` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.05,
        *,
        label_smoothing: float = 0.0,
        normalize_queries: bool = False,
        normalize_keys: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            label_smoothing=label_smoothing,
            normalize_queries=normalize_queries,
            normalize_keys=normalize_keys,
            reduction=reduction,
        )

    def forward(self, queries: Tensor, keys: Tensor, queue: Tensor) -> Tensor:
        return self.call(queries, keys, queue)


class ContrieverInBatch(Loss, function=contriever_in_batch):
    """`counterpoint.objectives.functional.contriever_in_batch` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        label_smoothing: float = 0.0,
        normalize: bool = False,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            label_smoothing=label_smoothing,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )

    def forward(self, queries: Tensor, passages: Tensor) -> Tensor:
        return self.call(queries, passages)
