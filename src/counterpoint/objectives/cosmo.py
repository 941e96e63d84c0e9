"""CosMo: a contrast of image and text embeddings beside the language loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from counterpoint.engine.checks import check_choice, prepare, same_rows
from counterpoint.engine.ranks import global_sum
from counterpoint.engine.terms import Reduction
from counterpoint.objectives.captioning import captioning
from counterpoint.objectives.clip import clip
from counterpoint.objectives.registry import Loss, objective

Different = Literal["values", "rows"]

SOURCE = "Wang et al. 2024, COSMO: COntrastive Streamlined MultimOdal Model, arXiv 2401.00849"
NOT_COUNTED = -100


def cosmo_contrastive(
    image: Tensor,
    text: Tensor,
    log_scale: float | Tensor = 0.2,
    *,
    image_head: Tensor | None = None,
    text_head: Tensor | None = None,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """``clip(W_v e_v, W_t e_t)`` at temperature ``exp(-theta)``.

    Args:
        image: embeddings e_v ``(N, D_v)``.
        text: embeddings e_t ``(N, D_t)``, from the layers that see no image.
        log_scale: theta, a number or learnable scalar: the LOGARITHM of what multiplies the
            cosines. The authors call it temperature; at the initial 0.2 the logits are nearly
            flat and the loss stays above about ``ln N - 1.2``.
        image_head: W_v ``(D, D_v)``, without bias; None takes the embeddings as they are.
        text_head: W_t ``(D, D_t)``, likewise.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over pairs.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``, or ``(N,)`` without reduction; 0 with N = 1.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: a log_scale without a finite exponential.

    Source: Wang et al. 2024, arXiv 2401.00849, authors' code.
    """
    (x,), (y,) = prepare(False, image=image), prepare(False, text=text)
    theta = torch.as_tensor(log_scale, dtype=x.dtype, device=x.device)
    return clip(
        x if image_head is None else linear(x, image_head.to(x)),
        y if text_head is None else linear(y, text_head.to(y)),
        (-theta).exp(),
        reduction=reduction,
        across_ranks=across_ranks,
    )


@objective(
    inputs="logits",
    across_ranks="negatives are the rows of all ranks; mean over all pairs, and over all tokens",
    source=SOURCE,
)
def cosmo(
    image: Tensor,
    text: Tensor,
    logits: Tensor,
    labels: Tensor,
    log_scale: float | Tensor = 0.2,
    *,
    image_head: Tensor | None = None,
    text_head: Tensor | None = None,
    head: Tensor | None = None,
    interleaved: bool = False,
    contrastive_weight: float = 1.0,
    data_weight: float = 1.0,
    different: Different = "values",
    across_ranks: bool = False,
) -> Tensor:
    """``w_d (captioning(logits, labels) + l [not interleaved] cosmo_contrastive(image, text))``.

    The contrast is left out of a batch whose labels repeat themselves, for equal texts would be
    false negatives.

    Args:
        image: embeddings ``(N, D_v)``.
        text: embeddings ``(N, D_t)``.
        logits: of the language model ``(N, T, V)``, or hidden states with ``head``; logits at t
            predict label t + 1.
        labels: int64 ``(N, T)``, -100 where a token does not count, see
            `counterpoint.views.language_labels`.
        log_scale: theta, see `cosmo_contrastive`.
        image_head: see `cosmo_contrastive`.
        text_head: see `cosmo_contrastive`.
        head: output embedding ``(V, H)``, see `captioning`.
        interleaved: whether the batch is of interleaved data, which has no contrast.
        contrastive_weight: l.
        data_weight: w_d, of the kind of data of this batch.
        different: what must not repeat: ``"values"``, the authors' test that a batch of N rows has
            at least N different label values, or ``"rows"``, that no two rows are equal.
        across_ranks: the loss of the batch of all ranks. All ranks must have the same kind of
            data; where the labels of one of them repeat, none has a contrast.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings, logits or labels that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Wang et al. 2024, arXiv 2401.00849, authors' code.
    """
    same_rows(image=image, text=text, logits=logits, labels=labels)
    check_choice(Different, different=different)
    loss = captioning(
        logits, labels, head=head, ignore_index=NOT_COUNTED, across_ranks=across_ranks
    )
    if not interleaved and not _repeats(labels, different, across_ranks):
        loss = loss + contrastive_weight * cosmo_contrastive(
            image,
            text,
            log_scale,
            image_head=image_head,
            text_head=text_head,
            across_ranks=across_ranks,
        )
    return data_weight * loss


def _repeats(labels: Tensor, different: Different, across_ranks: bool) -> bool:
    kept: Tensor = torch.unique(labels, dim=None if different == "values" else 0)
    repeats = torch.tensor(float(len(kept) < len(labels)), device=labels.device)
    return bool(global_sum(repeats) if across_ranks else repeats)


class CosMo(Loss, function=cosmo):
    """`counterpoint.objectives.functional.cosmo` as a module."""

    def __init__(
        self,
        log_scale: float | Tensor | nn.Module = 0.2,
        *,
        contrastive_weight: float = 1.0,
        data_weight: float = 1.0,
        different: Different = "values",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            log_scale=log_scale,
            contrastive_weight=contrastive_weight,
            data_weight=data_weight,
            different=different,
            across_ranks=across_ranks,
        )

    def forward(
        self,
        image: Tensor,
        text: Tensor,
        logits: Tensor,
        labels: Tensor,
        *,
        image_head: Tensor | None = None,
        text_head: Tensor | None = None,
        head: Tensor | None = None,
        interleaved: bool = False,
    ) -> Tensor:
        return self.call(
            image,
            text,
            logits,
            labels,
            image_head=image_head,
            text_head=text_head,
            head=head,
            interleaved=interleaved,
        )
