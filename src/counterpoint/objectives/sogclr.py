"""SogCLR and iSogCLR: the contrast with ALL samples from small batches, by moving averages."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.similarity import refuse_double_backward
from counterpoint.engine.softmax import (
    one_way,
    reduce_rows,
    reduce_total,
    row_way,
    self_way,
    two_way,
)
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import SettingError
from counterpoint.objectives.duplicates import negatives_only
from counterpoint.objectives.negatives import samples_seen
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.sample_state import SampleState

FirstVisit = Literal["sample", "batch", "none"]
Variant = Literal["paper", "released"]
Negatives = Literal["mean", "sum"]

SOURCE = (
    "Yuan et al. 2022, Provable Stochastic Optimization for Global Contrastive Learning, arXiv "
    "2202.12387; Qiu et al. 2023, Not All Semantics are Created Equal, arXiv 2305.11965"
)
ACROSS_RANKS = "negatives are the rows of all ranks, every rank keeps the state; mean over samples"
SMALLEST = 1e-8
"""Below this an estimate of one modality is not used as a divisor (LibAUC)."""
SMALLEST_SCALED = 1e-20
"""Below this an estimate of two modalities, which is ``u exp(-b)``, does not fall (LibAUC)."""


class _Finished(torch.autograd.Function):
    """A value of x and y whose gradient is known."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, x: Tensor, y: Tensor, grad_x: Tensor, grad_y: Tensor
    ) -> Tensor:
        ctx.save_for_backward(grad_x, grad_y)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        grad_x, grad_y = ctx.saved_tensors
        return None, grad_x * grads[0], grad_y * grads[0], None, None


class _Surrogate:
    """``mean_j w_ij h_ij`` of both directions, with the constant weights ``exp(h / tau) / u``.

    As ``L = log sum_j exp(h / tau)`` has the slopes ``softmax_ij / tau``, the surrogate has the
    gradient of L times ``tau exp(L) / (count u)``, and its value is the slope of L in ``1 / tau``.
    So u may be told once L is known.

    Args:
        log_sums: L ``(2, N)`` of x, y and ``1 / tau``, which is ``(2, N)``, or ``()`` if all agree.
        x: first view or modality ``(N, D)``.
        y: second ``(N, D)``.
        temperature: tau of every anchor ``(2, N)``.
        count: the number of negatives the means are taken over.
        rows: whether the value of every row is wanted, not only their sum.
        finish: whether only the gradient of the sum is wanted; it is then made at once.
    """

    def __init__(
        self,
        log_sums: Callable[[Tensor, Tensor, Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        temperature: Tensor,
        count: int,
        *,
        rows: bool,
        finish: bool,
    ) -> None:
        self.inputs, self.temperature = (x, y), temperature
        self.count, self.finish = count, finish
        scale = temperature.detach().reciprocal()
        if not rows and bool((scale == scale[0, 0]).all()):
            scale = scale[0, 0].clone()
        self.scale = scale.requires_grad_()
        if finish:
            x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
        self.leaves = x, y
        with torch.enable_grad():
            self.log_sums = log_sums(x, y, self.scale)
        self.log_mean = self.log_sums.detach() - math.log(count)

    def weighted(self, log_estimate: Tensor) -> tuple[Tensor, Tensor]:
        """The surrogate, summed if finished, and its values without gradient, ``()`` or ``(2, N)``.

        Args:
            log_estimate: ``log u`` of every anchor ``(2, N)``.
        """
        slopes = self.temperature * (self.log_mean - log_estimate).exp()
        if not self.finish:
            (slope,) = torch.autograd.grad(self.log_sums, self.scale, slopes, retain_graph=True)
            values = slope * self.scale.detach()
            return values + slopes * (self.log_sums - self.log_sums.detach()), values
        slope, *grads = torch.autograd.grad(self.log_sums, (self.scale, *self.leaves), slopes)
        values = slope * self.scale.detach()
        total: Tensor = _Finished.apply(values.sum(), *self.inputs, *grads)
        return total, values


def _reduced(
    weighted: Tensor, pull: Tensor | None, rows: int, reduction: Reduction, across_ranks: bool
) -> Tensor:
    """Reduction over samples of the surrogate, with twice the similarity of positives taken off."""
    if weighted.dim():
        values = weighted.sum(0) if pull is None else weighted.sum(0) - 2 * pull
        return reduce_rows(values, None, reduction, across_ranks)
    total = weighted if pull is None else weighted - 2 * pull.sum()
    return reduce_total(total, total.new_tensor(float(rows)), reduction, across_ranks)


@objective(inputs="views", across_ranks=ACROSS_RANKS, source=SOURCE)
def sogclr(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature = 0.1,
    *,
    log_estimates: Tensor | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """``sum_v [mean_j sg[exp(s_j / t) / u_v] s_j - s_pos]``, the surrogate of one step.

    Of sample i, over both views v as anchors and the 2N - 2 rows j of other samples; u is the
    estimate of ``mean_j exp(s_j / t)`` over ALL samples. Its GRADIENT estimates that of
    ``t log E exp(s / t) - s_pos`` (the global contrastive loss), exactly so without
    ``log_estimates``, that is with the batch's own mean (gamma = 1); its value is not the loss.
    `SogCLR` keeps the estimates.

    Args:
        z1: first view, float ``(N, D)``, N at least 2.
        z2: second view, float ``(N, D)``.
        temperature: positive constant; one number, or one value a sample ``(N,)``.
        log_estimates: ``log u`` of the anchors of both views, ``(2N,)``; None for the batch's own.
        normalize: divide every row by its length.
        reduction: over samples.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity, a single sample.
        SettingError: temperature or reduction out of range.

    Source: Yuan et al. 2022, Provable Stochastic Optimization for Global Contrastive Learning,
    arXiv 2202.12387.
    """
    check_reduction(reduction)
    step, pull = _two_views(z1, z2, temperature, ids, normalize, reduction, False, across_ranks)
    given = step.log_mean if log_estimates is None else log_estimates.to(pull).view(2, -1)
    weighted, _ = step.weighted(given)
    return _reduced(weighted, pull, len(pull), reduction, across_ranks)


def _two_views(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature,
    ids: Tensor | None,
    normalize: bool,
    reduction: Reduction,
    rows: bool,
    across_ranks: bool,
) -> tuple[_Surrogate, Tensor]:
    n = same_rows(z1=z1, z2=z2)
    count = 2 * samples_seen(z1, across_ranks) - 2
    z1, z2 = prepare(normalize, z1=z1, z2=z2)
    tau = 1 / inverse_temperature(temperature, n, z1).detach().expand(2, n)
    terms = Terms(excluded=(0, n, -n))
    if ids is not None:
        both = torch.cat([z1, z2])
        terms = Terms(valid=negatives_only(ids.repeat(2), None, both, 0, True, across_ranks))

    def log_sums(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
        z = torch.cat([first, second])
        return self_way(
            z,
            scale.flatten() if scale.dim() else scale,
            terms,
            pull=z.new_zeros(()),
            reduction="none",
            across_ranks=across_ranks,
        ).view(2, -1)

    finish = reduction != "none"
    step = _Surrogate(log_sums, z1, z2, tau, count, rows=rows or not finish, finish=finish)
    return step, torch.linalg.vecdot(z1, z2)


@dataclass(frozen=True)
class _Rules:
    """How the state of a sample moves; see `SogCLR`."""

    gamma: float
    first_visit: FirstVisit
    rho: float | None
    eta: float
    beta: float
    lowest: float
    highest: float
    clip: float | None

    def __post_init__(self) -> None:
        for name in ("gamma", "beta"):
            if not 0 < getattr(self, name) <= 1:
                raise SettingError(f"{name} must lie in (0, 1], not {getattr(self, name)}.")
        check_choice(FirstVisit, first_visit=self.first_visit)
        if not 0 < self.lowest <= self.highest:
            raise SettingError("Temperatures need 0 < lowest <= highest.")

    def average(self, old: Tensor, new: Tensor, gamma: float | None) -> Tensor:
        """The moving average, where the new value weighs ``gamma``; both views share ``old``."""
        weight = torch.full_like(new, self.gamma if gamma is None else gamma)
        if self.first_visit == "sample":
            weight = weight.masked_fill(old == 0, 1.0)
        elif self.first_visit == "batch" and old.sum() == 0:
            weight.fill_(1.0)
        return (1 - weight) * old + weight * new

    def temperatures(
        self, tau: Tensor, moving: Tensor, slope: Tensor, eta: float | None
    ) -> dict[str, Tensor]:
        """New temperatures and their moving gradient; nothing without rho."""
        if self.rho is None:
            return {}
        slope = slope + self.rho
        if self.clip is not None:
            slope = slope.clamp(-self.clip, self.clip)
        moving = (1 - self.beta) * moving + self.beta * slope
        step = self.eta if eta is None else eta
        return {
            "momentum": moving,
            "temperature": (tau - step * moving).clamp(self.lowest, self.highest),
        }


class SogCLR(Loss, function=sogclr):
    """`counterpoint.objectives.functional.sogclr` with its state; with ``rho``, iSogCLR.

    Of every sample it keeps u, the moving average of ``mean_j exp(s_j / t)``, and, with rho, an own
    temperature t. After the loss of a step, ``t <- clip(t - eta m)`` with m the moving average of
    ``log u + rho - mean_j w_j s_j / t`` (= rho - KL(softmax || uniform) for the batch's own u): t
    grows where the softmax is more peaked than rho, so that samples of frequent meaning tolerate
    their neighbours. No gradient of autograd reaches t.

    ``gamma`` and ``beta`` weigh the NEW value. The loss is a surrogate whose value means nothing;
    watch ``last_value``, the mean of ``t log u - s_pos (+ rho t)``.

    Args:
        samples: how many training samples there are.
        temperature: of every sample at the start.
        gamma: weight of the new estimate, in (0, 1].
        first_visit: where the new estimate counts in full: ``"sample"``, for a sample not seen
            before; ``"batch"``, for a batch of such (LibAUC); ``"none"``.
        rho: radius, above 0, at most the logarithm of the number of negatives; None keeps the
            temperatures (SogCLR). 0.1 to 0.5.
        eta: step of the temperatures.
        beta: weight of the new temperature gradient, in (0, 1].
        lowest: least temperature.
        highest: largest temperature.
        clip: bound of the temperature gradient (authors: 3); None for none (LibAUC).
        normalize: divide every row by its length.
        across_ranks: the loss of the batch of all ranks.

    Source: Yuan et al. 2022, arXiv 2202.12387; Qiu et al. 2023, arXiv 2305.11965; LibAUC.
    """

    normalize: bool
    across_ranks: bool

    def __init__(
        self,
        samples: int,
        temperature: float = 0.1,
        *,
        gamma: float = 0.9,
        first_visit: FirstVisit = "sample",
        rho: float | None = None,
        eta: float = 0.01,
        beta: float = 0.9,
        lowest: float = 0.05,
        highest: float = 0.7,
        clip: float | None = None,
        normalize: bool = True,
        across_ranks: bool = False,
    ) -> None:
        super().__init__(normalize=normalize, across_ranks=across_ranks)
        self.rules = _Rules(gamma, first_visit, rho, eta, beta, lowest, highest, clip)
        self.state = SampleState(samples, estimate=0.0, momentum=0.0, temperature=temperature)
        self.last_value = torch.tensor(math.nan)

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        index: Tensor,
        *,
        gamma: float | None = None,
        eta: float | None = None,
    ) -> Tensor:
        """Surrogate of the step, mean over samples; moves the state while in training mode.

        Args:
            z1: first view, float ``(N, D)``.
            z2: second view, float ``(N, D)``.
            index: of each sample in the training set, int64 ``(N,)``, each once.
            gamma: for this step (schedules; the authors take 1 in the first epoch).
            eta: for this step.
        """
        n, across = same_rows(z1=z1, z2=z2), self.across_ranks
        index = self.state.check(index, n, across)
        tau = self.state.read("temperature", index, z1)
        rows = self.rules.rho is not None
        step, pull = _two_views(z1, z2, tau, None, self.normalize, "mean", rows, across)
        tau = tau.to(pull)
        old = self.state.read("estimate", index, pull)
        new = self.rules.average(old, step.log_mean.exp(), gamma)
        log_u = new.clamp(min=SMALLEST).log()
        weighted, values = step.weighted(log_u)
        if self.training:
            smallest = torch.finfo(new.dtype).tiny
            slope = (new.clamp(min=smallest).log() - values / tau).mean(0)
            moving = self.state.read("momentum", index, pull)
            moved = self.rules.temperatures(tau, moving, slope, eta)
            self.state.write(index, across, estimate=new.mean(0), **moved)
        watched = tau * log_u.mean(0) - pull.detach() + (self.rules.rho or 0.0) * tau
        self.last_value = watched.mean()
        return _reduced(weighted, pull, n, "mean", across)


@objective(inputs="views", across_ranks=ACROSS_RANKS, source=SOURCE)
def sogclr_bimodal(
    x: Tensor,
    y: Tensor,
    temperature: Temperature = 0.01,
    *,
    log_estimates: Tensor | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
    across_ranks: bool = False,
) -> Tensor:
    """``sum of both directions of mean_j sg[exp(h_j / t) / u] h_j``, ``h_j = s_j - s_pos``.

    As `sogclr`, for pairs of two modalities: anchors x against the y of other samples, and back.

    Args:
        x: float ``(N, D)``, N at least 2.
        y: float ``(N, D)``; row i belongs to row i of x.
        temperature: positive constant; one number, or one value a pair ``(N,)``.
        log_estimates: ``log u`` of the anchors, x's first ``(2N,)``; None for the batch's own.
        normalize: divide every row by its length.
        reduction: over pairs.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity, a single pair.
        SettingError: temperature or reduction out of range.

    Source: Yuan et al. 2022, arXiv 2202.12387; Qiu et al. 2023, arXiv 2305.11965.
    """
    check_reduction(reduction)
    n = same_rows(x=x, y=y)
    tau = 1 / inverse_temperature(temperature, n, x).detach().expand(2, n)
    step = _both_ways(x, y, tau, normalize, True, reduction, False, across_ranks)
    given = step.log_mean if log_estimates is None else log_estimates.to(tau).view(2, -1)
    weighted, _ = step.weighted(given)
    return _reduced(weighted, None, n, reduction, across_ranks)


def _both_ways(
    x: Tensor,
    y: Tensor,
    temperatures: Tensor,
    normalize: bool,
    masked: bool,
    reduction: Reduction,
    rows: bool,
    across_ranks: bool,
) -> _Surrogate:
    count = samples_seen(x, across_ranks) - 1
    x, y = prepare(normalize, x=x, y=y)
    terms = Terms(excluded=(0,) if masked else (), diagonal=True)

    def log_sums(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
        if not scale.dim():
            both = two_way(first, second, scale, terms, reduction="none", across_ranks=across_ranks)
            return torch.stack(both)
        ways = ((first, second), (second, first))
        return torch.stack(
            [
                one_way(*way, own, terms, reduction="none", across_ranks=across_ranks)[0]
                for way, own in zip(ways, scale, strict=True)
            ]
        )

    finish, tau = reduction != "none", temperatures.to(x)
    return _Surrogate(log_sums, x, y, tau, count, rows=rows or not finish, finish=finish)


@torch.no_grad()
def _peaks(step: _Surrogate, masked: bool, across_ranks: bool) -> Tensor:
    """``max_j h_ij / tau_i`` of both directions ``(2, N)``."""

    def of_rows(logits: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (logits.masked_fill(i == j, -torch.inf) if masked else logits).amax(1)

    x, y = step.inputs
    largest = [
        row_way(of_rows, a, b, 1 / tau, reduction="none", across_ranks=across_ranks)
        for (a, b), tau in zip(((x, y), (y, x)), step.temperature, strict=True)
    ]
    own: Tensor = torch.linalg.vecdot(x, y) / step.temperature
    return torch.stack(largest) - own


class BimodalSogCLR(Loss, function=sogclr_bimodal):
    """`counterpoint.objectives.functional.sogclr_bimodal` with its state; with ``rho``, iSogCLR.

    As `SogCLR`, with a state for each modality. Exponents are kept below a running maximum b of
    every sample, so that temperatures of 0.005 do not overflow; the stored estimate is
    ``u exp(-b)``.

    Args:
        samples: how many training pairs there are.
        temperature: of every sample of both modalities at the start.
        variant: ``"paper"`` (LibAUC's masking of the positive, mean over negatives); or
            ``"released"``, the authors' code: the positive, with h = 0, is in the sums, no special
            first visit, temperature gradient clipped at 5, and both directions are added.
        negatives: ``"mean"`` over the negatives in the loss; ``"sum"`` as in LibAUC, where the two
            directions are then averaged instead of added.
        gamma: weight of the new estimate, in (0, 1].
        first_visit: as `SogCLR`.
        rho: as `SogCLR`; 6 to 8 with batches of hundreds.
        eta: step of the temperatures.
        beta: weight of the new temperature gradient, in (0, 1].
        lowest: least temperature.
        highest: largest temperature.
        normalize: divide every row by its length.
        across_ranks: the loss of the batch of all ranks.

    Source: Qiu et al. 2023, Not All Semantics are Created Equal, arXiv 2305.11965; LibAUC.
    """

    normalize: bool
    across_ranks: bool

    def __init__(
        self,
        samples: int,
        temperature: float = 0.01,
        *,
        variant: Variant = "paper",
        negatives: Negatives = "mean",
        gamma: float = 0.9,
        first_visit: FirstVisit = "sample",
        rho: float | None = None,
        eta: float = 0.01,
        beta: float = 0.9,
        lowest: float = 0.005,
        highest: float = 0.05,
        normalize: bool = True,
        across_ranks: bool = False,
    ) -> None:
        check_choice(Variant, variant=variant)
        check_choice(Negatives, negatives=negatives)
        super().__init__(normalize=normalize, across_ranks=across_ranks)
        self.released, self.summed = variant == "released", negatives == "sum"
        visit: FirstVisit = "none" if self.released else first_visit
        clip = 5.0 if self.released else None
        self.rules = _Rules(gamma, visit, rho, eta, beta, lowest, highest, clip)
        self.states = torch.nn.ModuleList(
            SampleState(samples, estimate=0.0, momentum=0.0, temperature=temperature, peak=0.0)
            for _ in range(2)
        )

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        index: Tensor,
        *,
        gamma: float | None = None,
        eta: float | None = None,
    ) -> Tensor:
        """Surrogate of the step, mean over pairs; moves the state while in training mode.

        Args:
            x: float ``(N, D)``.
            y: float ``(N, D)``; row i belongs to row i of x.
            index: of each pair in the training set, int64 ``(N,)``, each once.
            gamma: for this step.
            eta: for this step.
        """
        n, across = same_rows(x=x, y=y), self.across_ranks
        states: list[SampleState] = [s for s in self.states if isinstance(s, SampleState)]
        index = states[0].check(index, n, across)
        tau = torch.stack([state.read("temperature", index, x) for state in states])
        masked, rows = not self.released, self.rules.rho is not None
        step = _both_ways(x, y, tau, self.normalize, masked, "mean", rows, across)
        tau = step.temperature
        before, old, moving = (
            torch.stack([state.read(name, index, tau) for state in states])
            for name in ("peak", "estimate", "momentum")
        )
        peak = torch.maximum(before, _peaks(step, masked, across))
        old = old * (before - peak).exp()
        new = self._averages(old, (step.log_mean - peak).exp(), gamma)
        new = new if self.released else new.clamp(min=SMALLEST_SCALED)
        divisor = new + 1e-10 if self.released else new
        weighted, values = step.weighted(divisor.log() + peak)
        if self.training:
            log_u = new.log() + peak
            moved = self.rules.temperatures(tau, moving, log_u - values / tau, eta)
            for place, state in enumerate(states):
                kept = {"estimate": new, "peak": peak, **moved}
                state.write(index, across, **{name: x[place] for name, x in kept.items()})
        if self.summed:
            weighted = weighted * step.count / 2
        return _reduced(weighted, None, n, "mean", across)

    def _averages(self, old: Tensor, new: Tensor, gamma: float | None) -> Tensor:
        """Each modality on its own, for what counts as a first visit."""
        ways = zip(old, new, strict=True)
        return torch.stack([self.rules.average(a, b, gamma) for a, b in ways])
