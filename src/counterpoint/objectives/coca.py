"""CoCa: contrast and captioning from one forward pass."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor, nn

from counterpoint.engine.checks import Temperature, check_choice, same_rows
from counterpoint.objectives.captioning import captioning
from counterpoint.objectives.clip import clip
from counterpoint.objectives.registry import Loss, objective

Variant = Literal["released", "paper"]

SOURCE = "Yu et al. 2022, CoCa: Contrastive Captioners are Image-Text Foundation Models"


class Parts(NamedTuple):
    """The two losses of `coca` with their weights, each ``()``."""

    contrastive: Tensor
    caption: Tensor


def coca_parts(
    image: Tensor,
    text: Tensor,
    logits: Tensor,
    labels: Tensor,
    temperature: Temperature = 0.07,
    *,
    head: Tensor | None = None,
    contrastive_weight: float = 1.0,
    caption_weight: float = 2.0,
    shifted: bool = False,
    pad: int = 0,
    variant: Variant = "released",
    normalize: bool = True,
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Parts:
    """The two losses of `coca`; arguments and errors as there.

    Source: Yu et al., "CoCa", TMLR 2022, arXiv 2205.01917.
    """
    check_choice(Variant, variant=variant)
    same_rows(image=image, text=text, logits=logits, labels=labels)
    paper = variant == "paper"
    contrast = clip(
        image, text, temperature, normalize=normalize, ids=ids, across_ranks=across_ranks
    )
    caption = captioning(
        logits,
        labels,
        head=head,
        per="caption" if paper else "token",
        shifted=shifted,
        ignore_index=pad,
        across_ranks=across_ranks,
    )
    directions = 2.0 if paper else 1.0
    return Parts(contrastive_weight * directions * contrast, caption_weight * caption)


@objective(
    inputs="logits",
    across_ranks="negatives are the rows of all ranks; mean over all pairs, and over all tokens",
    source=SOURCE,
)
def coca(
    image: Tensor,
    text: Tensor,
    logits: Tensor,
    labels: Tensor,
    temperature: Temperature = 0.07,
    *,
    head: Tensor | None = None,
    contrastive_weight: float = 1.0,
    caption_weight: float = 2.0,
    shifted: bool = False,
    pad: int = 0,
    variant: Variant = "released",
    normalize: bool = True,
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``l_con clip(image, text) + l_cap captioning(logits, labels)``.

    The first is of the scale of ``ln N``, the second of ``ln V``: keep the weights when comparing.
    The text embedding comes from the half of the decoder that sees no image; if it did, the
    contrast would be solved without looking at the text.

    Args:
        image: embeddings ``(N, D)``.
        text: embeddings of the captions ``(N, D)``, row i of image i. Equal captions are false
            negatives of each other, unless ``ids`` name them.
        logits: of the captions ``(N, T, V)``, or hidden states ``(N, T, H)`` with ``head``, the
            text embedding's own position taken off.
        labels: tokens of the captions, int64 ``(N, T)``.
        temperature: of `clip`; usually learnable.
        head: output embedding ``(V, H)``, see `captioning`.
        contrastive_weight: l_con.
        caption_weight: l_cap.
        shifted: whether logits and labels are already aligned, see `captioning`.
        pad: token of the padding, which does not count.
        variant: ``"released"`` as in open_clip; ``"paper"`` sums both directions of the contrast
            and the tokens of a caption.
        normalize: divide every embedding by its length.
        ids: int64 ``(N,)``; pairs of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``. With N = 1 the contrast is 0, with only padding the caption loss.

    Raises:
        DataError: embeddings, logits or labels that do not fit, NaN, infinity.
        SettingError: temperature or variant out of range.

    Source: Yu et al., "CoCa", TMLR 2022, arXiv 2205.01917; reductions as in open_clip.
    """
    part = coca_parts(
        image,
        text,
        logits,
        labels,
        temperature,
        head=head,
        contrastive_weight=contrastive_weight,
        caption_weight=caption_weight,
        shifted=shifted,
        pad=pad,
        variant=variant,
        normalize=normalize,
        ids=ids,
        across_ranks=across_ranks,
    )
    return part.contrastive + part.caption


class CoCa(Loss, function=coca):
    """`counterpoint.objectives.functional.coca` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        *,
        contrastive_weight: float = 1.0,
        caption_weight: float = 2.0,
        shifted: bool = False,
        pad: int = 0,
        variant: Variant = "released",
        normalize: bool = True,
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            contrastive_weight=contrastive_weight,
            caption_weight=caption_weight,
            shifted=shifted,
            pad=pad,
            variant=variant,
            normalize=normalize,
            across_ranks=across_ranks,
        )

    def forward(
        self,
        image: Tensor,
        text: Tensor,
        logits: Tensor,
        labels: Tensor,
        *,
        head: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        return self.call(image, text, logits, labels, head=head, ids=ids)
