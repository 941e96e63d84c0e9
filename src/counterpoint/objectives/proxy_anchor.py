"""Proxy anchor: every class has a prototype, which is the anchor of the whole batch."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers, check_positive, prepare
from counterpoint.engine.ranks import gathered_rows, global_value, peer_rows, world_size
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Terms
from counterpoint.objectives.masked import log_sums_with_zero
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.same_label import UNKNOWN


@objective(
    inputs="prototypes",
    across_ranks="the rows of all ranks are seen from every prototype",
    source="Kim et al. 2020, Proxy Anchor Loss, arXiv 2003.13911, Eq. 4",
)
def proxy_anchor(
    z: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    *,
    alpha: float = 32.0,
    margin: float = 0.1,
    normalize: bool = True,
    across_ranks: bool = False,
) -> Tensor:
    """Prototypes c as anchors of the batch, soft maxima over its rows::

        mean_{c in P+} log(1 + sum_{y_i = c}  e^(-alpha (s_ci - margin)))
      + mean_{c in P}  log(1 + sum_{y_i != c} e^( alpha (s_ci + margin)))

    P are all prototypes, P+ those of classes that occur in the batch; an empty mean is 0.

    Args:
        z: float ``(N, D)``.
        labels: int64 ``(N,)``, in 0..C-1; rows of -1 (unknown) take no part.
        prototypes: learnable, one a class, float ``(C, D)``.
        alpha: sharpness, above 0.
        margin: of both similarities.
        normalize: divide every row and prototype by its length.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`), whose
            rows every rank holds, linear in the batch.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings or labels that do not fit, NaN, infinity.
        SettingError: alpha not above 0.

    Source: Kim et al. 2020, Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, arXiv
    2003.13911, Eq. 4.
    """
    check_positive(alpha=alpha)
    z, anchors = prepare(normalize, z=z, prototypes=prototypes)
    y = check_integers("labels", labels, len(z), classes=len(anchors), unknown=True)
    if across_ranks:
        z, y = gathered_rows(z), peer_rows(y)

    known, own = y != UNKNOWN, y.clamp(min=0)
    pull = alpha * (margin - torch.linalg.vecdot(z, anchors[own]))
    near = log_sums_with_zero(pull.where(known, -torch.inf), own, len(anchors))
    far, _ = one_way(
        anchors,
        z,
        z.new_tensor(alpha),
        Terms(valid=lambda i, j: known[j] & (y[j] != i)),
        extra=torch.full_like(anchors[:, :1], -alpha * margin),  # the 1, over e^(alpha margin)
    )
    loss = mean_of_occurring(near, y) + far + alpha * margin
    return global_value(loss / world_size()) if across_ranks else loss


def mean_of_occurring(near: Tensor, labels: Tensor) -> Tensor:
    """Mean over the prototypes that occur, of a loss that is 0 for the others ``(C,)``."""
    return near.sum() / max(len(torch.unique(labels[labels != UNKNOWN])), 1)


class ProxyAnchor(Loss, function=proxy_anchor):
    """`counterpoint.objectives.functional.proxy_anchor` as a module."""

    def __init__(
        self,
        *,
        alpha: float = 32.0,
        margin: float = 0.1,
        normalize: bool = True,
        across_ranks: bool = False,
    ) -> None:
        super().__init__(alpha=alpha, margin=margin, normalize=normalize, across_ranks=across_ranks)

    def forward(self, z: Tensor, labels: Tensor, prototypes: Tensor) -> Tensor:
        return self.call(z, labels, prototypes)
