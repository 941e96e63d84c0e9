"""D2O: human negatives against the average of the reference model's own answers."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_positive
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError
from counterpoint.objectives.log_probabilities import check_log_probabilities
from counterpoint.objectives.pairwise import pairwise_loss
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective


@objective(
    inputs="log-probabilities",
    across_ranks="a prompt has its own loss; ranks of equal batches average it",
    ranks="rows",
    source="Duan et al. 2024, Negating Negatives, arXiv 2403.03419, Eq. 3",
)
def d2o(
    policy_self: Tensor,
    policy_negative: Tensor,
    reference_self: Tensor,
    reference_negative: Tensor,
    *,
    alpha: float = 0.1,
    beta: float = 0.1,
    valid: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-log sigmoid(u)`` with ``u = beta/K sum_i a_i - alpha b``.

    ``a_i = log pi(y_i) - log ref(y_i)`` and ``b = log pi(y_l) - log ref(y_l)``.
    ``y_1 .. y_K`` are sampled from the reference model, ``y_l`` is the human negative. With K = 1
    and alpha = beta it is `dpo` with y_1 as winner; with alpha = beta it is at most the mean of the
    K `dpo` losses, and equal to it only where the K log-ratios are equal.

    Two reference models are possible: the self-samples are judged against the more harmful one, the
    negatives against the more helpful one; the paper uses the original model for both. All values
    are SUMS over the tokens of the answer, its end token included (see
    `counterpoint.objectives.log_probabilities`); with means take much larger alpha and beta.

    Args:
        policy_self: ``(B, K)``, self-samples under the policy. The paper has K = 11.
        policy_negative: ``(B,)``, negatives under the policy.
        reference_self: ``(B, K)``, no gradient.
        reference_negative: ``(B,)``, no gradient.
        alpha: weight of the negative part, above 0.
        beta: weight of the self-samples, above 0.
        valid: bool ``(B, K)``; False where sampling failed. The average runs over those present, a
            prompt without any is left out.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over prompts.

    Returns:
        ``()``, or ``(B,)`` without reduction. Without any prompt that counts: 0.

    Raises:
        DataError: shapes that do not fit, NaN or infinite values where they count.
        SettingError: alpha or beta not above 0.

    Source: Duan et al., "Negating Negatives: Alignment with Human Negative Samples via
    Distributional Dispreference Optimization", Findings of EMNLP 2024, arXiv 2403.03419, Eq. 3.
    """
    check_positive(alpha=alpha, beta=beta)
    present = _present(policy_self, policy_negative, reference_self, valid)
    policy_self = policy_self.where(present, policy_self.new_zeros(()))
    reference_self = reference_self.where(present, reference_self.new_zeros(()))
    check_log_probabilities(policy_self=policy_self, reference_self=reference_self)
    check_log_probabilities(policy_negative=policy_negative, reference_negative=reference_negative)
    count = present.sum(1)
    kept = (policy_self - reference_self.detach()).sum(1) / count.clamp(min=1)
    lost = policy_negative - reference_negative.detach()
    return reduce(pairwise_loss(beta * kept - alpha * lost), reduction, count > 0)


def _present(samples: Tensor, negatives: Tensor, reference: Tensor, valid: Tensor | None) -> Tensor:
    shapes = [tuple(x.shape) for x in (samples, reference, negatives)]
    if samples.dim() != 2 or shapes[1] != shapes[0] or shapes[2] != shapes[0][:1]:
        raise DataError(
            "policy_self and reference_self must be (B, K), K samples a prompt, and "
            f"policy_negative (B,); got {', '.join(map(str, shapes))}."
        )
    if valid is None:
        return torch.ones_like(samples, dtype=torch.bool)
    if valid.dtype != torch.bool or valid.shape != samples.shape:
        raise DataError(
            f"valid must be bool {tuple(samples.shape)}; got {valid.dtype} {tuple(valid.shape)}."
        )
    return valid


class D2O(Loss, function=d2o):
    """`counterpoint.objectives.functional.d2o` as a module."""

    def __init__(
        self, *, alpha: float = 0.1, beta: float = 0.1, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(alpha=alpha, beta=beta, reduction=reduction)

    def forward(
        self,
        policy_self: Tensor,
        policy_negative: Tensor,
        reference_self: Tensor,
        reference_negative: Tensor,
        *,
        valid: Tensor | None = None,
    ) -> Tensor:
        return self.call(
            policy_self, policy_negative, reference_self, reference_negative, valid=valid
        )
