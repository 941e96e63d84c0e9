"""Distant peers: what carries the same label and lies far away is pulled near."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_finite,
    check_integers,
    check_reduction,
    inverse_temperature,
    prepare,
)
from counterpoint.engine.rows import row_blocks
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.contrast import contrast
from counterpoint.objectives.registry import Loss, objective

Choice = Literal["distant", "near"]


@objective(
    inputs="labels",
    across_ranks="not offered: peers are those of the own batch; average the ranks' losses",
    source="Shu 2022, arXiv 2205.05368; reconstruction, the equations are not public",
)
def distant_peer(
    z: Tensor,
    labels: Tensor,
    temperature: Temperature = 0.1,
    *,
    base: Tensor | None = None,
    credibility: Tensor | None = None,
    peers: int = 2,
    threshold: float = 0.5,
    choice: Choice = "distant",
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``l_i = mean over p in DP(i) of -s_ip/t + log(exp(s_ip/t) + sum_n exp(s_in/t))``.

    Peers of i are the other rows of its label, both credible; ``DP(i)`` are the ``peers`` of them
    least similar to i in ``base``; ``n`` runs over the rows of other labels. Other peers are in
    neither set.

    Args:
        z: float ``(N, D)``, what is trained.
        labels: int64 ``(N,)``; -1 where unknown: such a row has no peers and is a negative of all
            others.
        temperature: positive; one number, a learnable scalar, or one value an anchor ``(N,)``.
        base: float ``(N, E)``, fixed embeddings of the same rows, which choose the peers; None
            takes ``z`` itself. No gradient flows into them.
        credibility: float ``(N,)`` in [0, 1]; None trusts every row.
        peers: size of ``DP(i)``, at least 1; ties go to the lower row.
        threshold: least credibility of an anchor and of a peer.
        choice: ``"near"`` takes the most similar peers instead (a control).
        normalize: divide every row of ``z`` by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors. An anchor without peers gives
            0 and is left out of the mean.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: rows that do not fit.
        SettingError: a setting out of range.

    Source: Shu 2022, Pre-trained Language Models as Re-Annotators, arXiv 2205.05368; a
    reconstruction, since the equations are not public.
    """
    count = len(z)
    labels = check_integers("labels", labels, count)
    for name, rows in (("base", base), ("credibility", credibility)):
        if rows is not None and len(rows) != count:
            raise DataError(f"{name} has {len(rows)} rows and z has {count}; both need the same.")
        if rows is not None:
            check_finite(**{name: rows})
    if peers < 1:
        raise SettingError(f"peers must be at least 1; got {peers}.")
    check_choice(Choice, choice=choice)
    check_reduction(reduction)
    (x,) = prepare(normalize, z=z)
    scale = inverse_temperature(temperature, count, x)
    trusted = labels >= 0
    if credibility is not None:
        trusted = trusted & (credibility >= threshold)
    anchor, peer = _chosen(labels, (z if base is None else base).detach(), trusted, peers, choice)
    if len(anchor) == 0:
        nothing = (x * 0).sum(dim=1)
        return nothing if reduction == "none" else nothing.sum()
    losses = contrast(
        x[anchor],
        x,
        1 / (scale[anchor] if scale.dim() == 1 else scale),
        positive=lambda i, j: peer[i] == j,
        valid=lambda i, j: (peer[i] == j) | (labels[anchor[i]] != labels[j]),
        normalize=False,
        reduction="none",
    )
    pairs = torch.bincount(anchor, minlength=count)
    per_anchor = losses.new_zeros(count).index_add(0, anchor, losses / pairs[anchor])
    if reduction == "none":
        return per_anchor
    return per_anchor.sum() / (int((pairs > 0).sum()) if reduction == "mean" else 1)


def _chosen(
    labels: Tensor, base: Tensor, trusted: Tensor, peers: int, choice: Choice
) -> tuple[Tensor, Tensor]:
    """Rows of the anchors and of their chosen peers, one entry a pair."""
    unit = nn.functional.normalize(base.float(), dim=1)
    anchors, chosen = [], []
    for label in torch.unique(labels[trusted]):
        rows = (trusted & (labels == label)).nonzero()[:, 0]
        if len(rows) < 2:
            continue
        taken = min(peers, len(rows) - 1)
        anchors.append(rows.repeat_interleave(taken))
        chosen.append(rows[_best(unit[rows], taken, choice).reshape(-1)])
    if not anchors:
        return labels.new_zeros(0), labels.new_zeros(0)
    return torch.cat(anchors), torch.cat(chosen)


def _best(unit: Tensor, count: int, choice: Choice) -> Tensor:
    """The nearest or farthest others of each row ``(n, count)``, in blocks; first of equal ones."""
    sign = 1 if choice == "near" else -1
    found = []
    for part in row_blocks(len(unit), len(unit)):
        scores = sign * (unit[part] @ unit.T)
        scores.diagonal(part.start).fill_(-torch.inf)
        order = scores.sort(dim=1, descending=True, stable=True).indices
        found.append(order[:, :count].clone())  # a view would keep the whole order
    return torch.cat(found)


class DistantPeer(Loss, function=distant_peer):
    """`distant_peer` as a module."""

    def __init__(
        self,
        temperature: float | nn.Parameter | nn.Module = 0.1,
        *,
        peers: int = 2,
        threshold: float = 0.5,
        choice: Choice = "distant",
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            peers=peers,
            threshold=threshold,
            choice=choice,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self,
        z: Tensor,
        labels: Tensor,
        *,
        base: Tensor | None = None,
        credibility: Tensor | None = None,
    ) -> Tensor:
        return self.call(z, labels, base=base, credibility=credibility)
