"""Next-token cross entropy of captions, the language half of joint models."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import check_choice
from counterpoint.engine.ranks import global_sum, global_value
from counterpoint.errors import DataError
from counterpoint.objectives.log_probabilities import active_tokens, sequence_log_probability
from counterpoint.objectives.registry import Loss, objective

Per = Literal["token", "caption"]


@objective(
    inputs="logits",
    across_ranks="mean over the tokens (captions) of all ranks",
    source="Yu et al. 2022, CoCa: Contrastive Captioners are Image-Text Foundation Models",
)
def captioning(
    logits: Tensor,
    labels: Tensor,
    *,
    head: Tensor | None = None,
    per: Per = "token",
    shifted: bool = False,
    ignore_index: int = 0,
    across_ranks: bool = False,
) -> Tensor:
    """``-sum_{i,t} log P(y_{i,t+1} | y_{i,<=t}) / number of tokens that count``.

    Args:
        logits: ``(N, T, V)``; or, with ``head``, the last hidden states ``(N, T, D)``.
        labels: tokens, int64 ``(N, T)``.
        head: output embedding ``(V, D)``; the logits are then made a chunk at a time.
        per: ``"token"``, the mean over all tokens of the batch, or ``"caption"``, the mean over
            captions of their sums.
        shifted: False: logits at t predict label t + 1, and the shift is made here; True: logits
            and labels are already aligned. The shift must be made exactly once.
        ignore_index: label that does not count: padding, which must be no real token.
        across_ranks: the loss of the batch of all ranks.

    Returns:
        ``()``. Without a token that counts: 0.

    Raises:
        DataError: shapes or labels that do not fit, or a caption whose loss is NaN or infinite.
        SettingError: unknown ``per``.

    Source: Yu et al., "CoCa", TMLR 2022, arXiv 2205.01917; the mean over tokens as in open_clip.
    """
    check_choice(Per, per=per)
    logs = sequence_log_probability(
        logits, labels, head=head, shifted=shifted, ignore_index=ignore_index
    )
    _check_captions(logs)
    total, count = -logs.sum(), logs.new_tensor(float(len(logs)))
    if per == "token":
        count = active_tokens(labels, shifted=shifted, ignore_index=ignore_index).sum().to(logs)
    if across_ranks:
        total, count = global_value(total), global_sum(count)
    return total / count.clamp(min=1)


def _check_captions(logs: Tensor) -> None:
    bad = (~torch.isfinite(logs.detach())).nonzero().flatten().tolist()
    if bad:
        raise DataError(
            f"logits give no finite log-probability in {len(bad)} of {len(logs)} rows (first: row "
            f"{bad[0]})."
        )


class Captioning(Loss, function=captioning):
    """`counterpoint.objectives.functional.captioning` as a module."""

    def __init__(
        self,
        *,
        per: Per = "token",
        shifted: bool = False,
        ignore_index: int = 0,
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            per=per, shifted=shifted, ignore_index=ignore_index, across_ranks=across_ranks
        )

    def forward(self, logits: Tensor, labels: Tensor, *, head: Tensor | None = None) -> Tensor:
        return self.call(logits, labels, head=head)
