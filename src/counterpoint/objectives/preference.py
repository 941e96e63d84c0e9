"""Direct preference losses: pure functions of sequence log-probabilities, for anybody's trainer.

Each is `pairwise_loss` of a log-ratio ``rho``; `counterpoint.objectives.preference_logic` says what
each of them states about the model. ``policy_w`` is ``log pi(y_w | x)`` of the winner, ``policy_l``
that of the loser, ``reference_w`` and ``reference_l`` the same under the frozen reference model
(no gradient flows into it). `counterpoint.objectives.log_probabilities` makes them from logits.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import check_choice, check_positive
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.log_probabilities import check_log_probabilities, log_one_minus
from counterpoint.objectives.pairwise import pairwise_loss
from counterpoint.objectives.reduction import reduce
from counterpoint.objectives.registry import Loss, objective

SimPOForm = Literal["logistic", "hinge"]

PAIR_BY_PAIR = "a pair has its own loss; ranks of equal batches average it"


def implicit_reward(policy: Tensor, reference: Tensor, *, beta: float = 0.1) -> Tensor:
    """Reward that a preference loss ascribes to each answer, ``beta (log pi - log ref)``.

    Args:
        policy: log-probabilities of the answers, any shape.
        reference: those of the reference model, same shape.
        beta: as in the loss.

    Returns:
        Same shape, no gradient.

    Source: Rafailov et al., "Direct Preference Optimization", NeurIPS 2023, Eq. 5.
    """
    check_positive(beta=beta)
    check_log_probabilities(policy=policy, reference=reference)
    return beta * (policy - reference).detach()


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source="Rafailov et al. 2023, Direct Preference Optimization, Eq. 7",
)
def dpo(
    policy_w: Tensor,
    policy_l: Tensor,
    reference_w: Tensor,
    reference_l: Tensor,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    offset: float | Tensor = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """DPO: ``-log sigmoid(beta rho)``, ``rho = log pi(w)/pi(l) - log ref(w)/ref(l)``.

    With ``label_smoothing`` s it is cDPO, ``-(1-s) log sigmoid(beta rho) - s log sigmoid(-beta
    rho)``; with ``offset`` it is ODPO (offset of a pair) or R-DPO (a multiple of the difference of
    lengths): ``beta rho - offset``. Without a reference model it is `cpo`, with K samples of the
    reference as winner `counterpoint.objectives.d2o`.

    Args:
        policy_w: log-probabilities of the winners ``(B,)``.
        policy_l: of the losers ``(B,)``.
        reference_w: reference model, winners ``(B,)``.
        reference_l: reference model, losers ``(B,)``.
        beta: strength of the tie to the reference, above 0.
        label_smoothing: share of preferences taken to be wrong, in [0, 0.5].
        offset: number or ``(B,)``, how much ``beta rho`` should exceed 0.
        reduction: over pairs.

    Returns:
        ``()``, or ``(B,)`` without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Rafailov et al., "Direct Preference Optimization", NeurIPS 2023, Eq. 7.
    """
    check_positive(beta=beta)
    rho = _log_ratio(policy_w, policy_l, reference_w, reference_l)
    loss = pairwise_loss(beta * rho, margin=offset, label_smoothing=label_smoothing)
    return reduce(loss, reduction)


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source=(
        "Azar et al. 2024, A General Theoretical Paradigm to Understand "
        "Learning from Human Preferences, Eq. 17"
    ),
)
def ipo(
    policy_w: Tensor,
    policy_l: Tensor,
    reference_w: Tensor,
    reference_l: Tensor,
    *,
    beta: float = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    """IPO: ``(rho - 1/(2 beta))^2`` with the ``rho`` of `dpo`; it does not push past its target.

    Args:
        policy_w: log-probabilities of the winners ``(B,)``.
        policy_l: of the losers ``(B,)``.
        reference_w: under the reference model, winners ``(B,)``.
        reference_l: under the reference model, losers ``(B,)``.
        beta: above 0; rho is drawn to ``1 / (2 beta)``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over pairs.

    Returns:
        ``()``, or one value a row without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Azar et al., "A General Theoretical Paradigm to Understand Learning from Human
    Preferences", AISTATS 2024, Eq. 17.
    """
    check_positive(beta=beta)
    rho = _log_ratio(policy_w, policy_l, reference_w, reference_l)
    return reduce(pairwise_loss(rho, "squared", margin=1 / (2 * beta)), reduction)


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source=(
        "Pal et al. 2024, Smaug: Fixing Failure Modes of Preference "
        "Optimisation with DPO-Positive, Eq. 3"
    ),
)
def dpop(
    policy_w: Tensor,
    policy_l: Tensor,
    reference_w: Tensor,
    reference_l: Tensor,
    *,
    beta: float = 0.1,
    weight: float = 1.0,
    clipped: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """DPOP: `dpo` that keeps the winner likely, ``beta (rho - weight max(0, log ref(w)/pi(w)))``.

    Args:
        policy_w: log-probabilities of the winners ``(B,)``, as for `dpo`.
        policy_l: of the losers ``(B,)``.
        reference_w: reference model, winners ``(B,)``.
        reference_l: reference model, losers ``(B,)``.
        beta: above 0.
        weight: of the penalty, at least 0; 0 is `dpo`.
        clipped: False drops the ``max(0, .)``, which with weight 1 is the form that
            `preference_logic` reads: ``P(w)^2 P(rl) / (P(l) P(rw)^2)``.
        reduction: over pairs.

    Returns:
        ``()``, or one value a row without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Pal et al., "Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive",
    2024, arXiv 2402.13228, Eq. 3.
    """
    check_positive(beta=beta)
    rho = _log_ratio(policy_w, policy_l, reference_w, reference_l)
    lost = reference_w.detach() - policy_w
    rho = rho - weight * (lost.clamp(min=0.0) if clipped else lost)
    return reduce(pairwise_loss(beta * rho), reduction)


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source="Xu et al. 2024, Contrastive Preference Optimization, Eq. 5",
)
def cpo(
    policy_w: Tensor,
    policy_l: Tensor,
    *,
    beta: float = 0.1,
    nll_weight: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """CPO: ``-log sigmoid(beta (log pi(w) - log pi(l)))``, `dpo` without a reference model.

    Args:
        policy_w: ``(B,)``.
        policy_l: ``(B,)``.
        beta: above 0.
        nll_weight: adds ``-nll_weight log pi(w)``, the paper's behaviour-cloning term (there 1).
        reduction: over pairs.

    Returns:
        ``()``, or one value a row without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Xu et al., "Contrastive Preference Optimization", ICML 2024, Eq. 5.
    """
    check_positive(beta=beta)
    check_log_probabilities(policy_w=policy_w, policy_l=policy_l)
    loss = pairwise_loss(beta * (policy_w - policy_l)) - nll_weight * policy_w
    return reduce(loss, reduction)


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source="Zhao et al. 2023, SLiC-HF, Eq. 1",
)
def slic(
    policy_w: Tensor,
    policy_l: Tensor,
    *,
    beta: float = 1.0,
    nll_weight: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """SLiC: ``max(0, beta - (log pi(w) - log pi(l)))``. With length-normalised values: RRHF's term.

    Args:
        policy_w: ``(B,)``.
        policy_l: ``(B,)``.
        beta: margin, at least 0 (RRHF: 0).
        nll_weight: adds ``-nll_weight log pi(w)``.
        reduction: over pairs.

    Returns:
        ``()``, or one value a row without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Zhao et al., "SLiC-HF: Sequence Likelihood Calibration with Human Feedback", 2023,
    arXiv 2305.10425, Eq. 1; Yuan et al., "RRHF", NeurIPS 2023.
    """
    if not beta >= 0:
        raise SettingError(f"beta is a margin here and must be at least 0, got {beta}.")
    check_log_probabilities(policy_w=policy_w, policy_l=policy_l)
    loss = pairwise_loss(policy_w - policy_l, "hinge", margin=beta) - nll_weight * policy_w
    return reduce(loss, reduction)


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source="Hong et al. 2024, ORPO, Eqs. 6 and 7",
)
def orpo(
    policy_w: Tensor,
    policy_l: Tensor,
    *,
    beta: float = 1.0,
    nll_weight: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """ORPO: ``-log sigmoid(beta rho)``, ``rho = log odds(w) - log odds(l)``, ``odds = P/(1-P)``.

    Give it log-probabilities per token (``reduction="mean"`` of `sequence_log_probability`): those
    of whole sequences are so small that ``1 - P`` is 1 and the odds are the probabilities.

    Args:
        policy_w: ``(B,)``, at most 0; above -1e-8 ``1 - P`` stays at 1e-8.
        policy_l: ``(B,)``, likewise.
        beta: factor inside the sigmoid, above 0.
        nll_weight: adds ``-nll_weight log pi(w)``, as the paper's total loss does, whose lambda
            (0.1) then is ``1 / nll_weight``.
        reduction: over pairs.

    Returns:
        ``()``, or one value a row without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Hong et al., "ORPO: Monolithic Preference Optimization without Reference Model", EMNLP
    2024, Eqs. 6 and 7.
    """
    check_positive(beta=beta)
    check_log_probabilities(at_most_zero=True, policy_w=policy_w, policy_l=policy_l)
    loss = pairwise_loss(beta * (log_odds(policy_w) - log_odds(policy_l)))
    return reduce(loss - nll_weight * policy_w, reduction)


def log_odds(log_p: Tensor) -> Tensor:
    """``log(P / (1 - P))`` from ``log P <= 0``, any shape."""
    return log_p - log_one_minus(log_p)


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source="Meng et al. 2024, SimPO, Eq. 6",
)
def simpo(
    policy_w: Tensor,
    policy_l: Tensor,
    *,
    beta: float = 2.0,
    margin: float = 0.5,
    form: SimPOForm = "logistic",
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """SimPO: ``-log sigmoid(beta rho)``, ``rho = log pi(w) - log pi(l) - margin``.

    ``form="hinge"`` is ``max(0, 1 - beta rho)``; it differs from `slic`, whose beta is the margin.

    Args:
        policy_w: ``(B,)`` per token: ``reduction="mean"`` of `sequence_log_probability`.
        policy_l: ``(B,)``, likewise.
        beta: above 0.
        margin: the paper's gamma / beta.
        form: logistic, as in the paper, or hinge, as its code offers.
        label_smoothing: in [0, 0.5].
        reduction: over pairs.

    Returns:
        ``()``, or one value a row without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Meng et al., "SimPO: Simple Preference Optimization with a Reference-Free Reward",
    NeurIPS 2024, Eq. 6.
    """
    check_positive(beta=beta)
    check_choice(SimPOForm, form=form)
    check_log_probabilities(policy_w=policy_w, policy_l=policy_l)
    u = beta * (policy_w - policy_l - margin)
    lead = 1.0 if form == "hinge" else 0.0
    loss = pairwise_loss(u, form, margin=lead, label_smoothing=label_smoothing)
    return reduce(loss, reduction)


@objective(
    inputs="log-probabilities",
    across_ranks=PAIR_BY_PAIR,
    ranks="rows",
    source="Ethayarajh et al. 2024, KTO, Eqs. 7 and 8",
)
def kto(
    policy: Tensor,
    reference: Tensor,
    desirable: Tensor,
    *,
    kl: Tensor | float = 0.0,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """KTO, for answers marked good or bad without pairs.

    ``w_D (1 - sigmoid(r - z))`` for good ones, ``w_U (1 - sigmoid(z - r))`` for bad ones, with
    ``r = beta (log pi - log ref)`` and ``z = beta max(0, kl)``.

    Args:
        policy: ``(B,)``.
        reference: ``(B,)``.
        desirable: bool ``(B,)``.
        kl: estimate of KL(policy || reference), a number or scalar: the mean of ``log pi - log
            ref`` over answers paired with prompts they do not belong to. No gradient.
        beta: above 0.
        desirable_weight: w_D.
        undesirable_weight: w_U.
        reduction: over answers.

    Returns:
        ``()``, or one value a row without reduction. An empty batch gives 0.

    Raises:
        DataError: shapes that differ, NaN or infinite values.
        SettingError: a setting out of its range.

    Source: Ethayarajh et al., "KTO: Model Alignment as Prospect Theoretic Optimization", ICML 2024,
    Eqs. 7 and 8.
    """
    check_positive(beta=beta)
    check_log_probabilities(policy=policy, reference=reference)
    if desirable.dtype != torch.bool or desirable.shape != policy.shape:
        raise DataError(
            f"desirable must be a bool tensor of shape {tuple(policy.shape)}; "
            f"got {desirable.dtype} {tuple(desirable.shape)}."
        )
    point = beta * torch.as_tensor(kl, dtype=policy.dtype, device=policy.device).detach()
    u = beta * (policy - reference.detach()) - point.clamp(min=0.0)
    good, bad = desirable_weight * torch.sigmoid(-u), undesirable_weight * torch.sigmoid(u)
    return reduce(torch.where(desirable, good, bad), reduction)


def _log_ratio(
    policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor
) -> Tensor:
    check_log_probabilities(
        policy_w=policy_w, policy_l=policy_l, reference_w=reference_w, reference_l=reference_l
    )
    return (policy_w - policy_l) - (reference_w - reference_l).detach()


class DPO(Loss, function=dpo):
    """`counterpoint.objectives.functional.dpo` as a module."""

    def __init__(
        self,
        *,
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(beta=beta, label_smoothing=label_smoothing, reduction=reduction)

    def forward(
        self,
        policy_w: Tensor,
        policy_l: Tensor,
        reference_w: Tensor,
        reference_l: Tensor,
        *,
        offset: float | Tensor = 0.0,
    ) -> Tensor:
        return self.call(policy_w, policy_l, reference_w, reference_l, offset=offset)


class IPO(Loss, function=ipo):
    """`counterpoint.objectives.functional.ipo` as a module."""

    def __init__(
        self,
        *,
        beta: float = 0.1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(beta=beta, reduction=reduction)

    def forward(
        self, policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor
    ) -> Tensor:
        return self.call(policy_w, policy_l, reference_w, reference_l)


class DPOP(Loss, function=dpop):
    """`counterpoint.objectives.functional.dpop` as a module."""

    def __init__(
        self,
        *,
        beta: float = 0.1,
        weight: float = 1.0,
        clipped: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(beta=beta, weight=weight, clipped=clipped, reduction=reduction)

    def forward(
        self, policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor
    ) -> Tensor:
        return self.call(policy_w, policy_l, reference_w, reference_l)


class CPO(Loss, function=cpo):
    """`counterpoint.objectives.functional.cpo` as a module."""

    def __init__(
        self,
        *,
        beta: float = 0.1,
        nll_weight: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(beta=beta, nll_weight=nll_weight, reduction=reduction)

    def forward(self, policy_w: Tensor, policy_l: Tensor) -> Tensor:
        return self.call(policy_w, policy_l)


class SLiC(Loss, function=slic):
    """`counterpoint.objectives.functional.slic` as a module."""

    def __init__(
        self,
        *,
        beta: float = 1.0,
        nll_weight: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(beta=beta, nll_weight=nll_weight, reduction=reduction)

    def forward(self, policy_w: Tensor, policy_l: Tensor) -> Tensor:
        return self.call(policy_w, policy_l)


class ORPO(Loss, function=orpo):
    """`counterpoint.objectives.functional.orpo` as a module."""

    def __init__(
        self,
        *,
        beta: float = 1.0,
        nll_weight: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(beta=beta, nll_weight=nll_weight, reduction=reduction)

    def forward(self, policy_w: Tensor, policy_l: Tensor) -> Tensor:
        return self.call(policy_w, policy_l)


class SimPO(Loss, function=simpo):
    """`counterpoint.objectives.functional.simpo` as a module."""

    def __init__(
        self,
        *,
        beta: float = 2.0,
        margin: float = 0.5,
        form: SimPOForm = "logistic",
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            beta=beta,
            margin=margin,
            form=form,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )

    def forward(self, policy_w: Tensor, policy_l: Tensor) -> Tensor:
        return self.call(policy_w, policy_l)


class KTO(Loss, function=kto):
    """`counterpoint.objectives.functional.kto` as a module."""

    def __init__(
        self,
        *,
        beta: float = 0.1,
        desirable_weight: float = 1.0,
        undesirable_weight: float = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            beta=beta,
            desirable_weight=desirable_weight,
            undesirable_weight=undesirable_weight,
            reduction=reduction,
        )

    def forward(
        self, policy: Tensor, reference: Tensor, desirable: Tensor, *, kl: Tensor | float = 0.0
    ) -> Tensor:
        return self.call(policy, reference, desirable, kl=kl)
