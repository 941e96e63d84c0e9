"""AMCL: several heads, and a temperature for every pair in every head."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from counterpoint.encoders.pair_temperature import PairTemperature
from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_integers,
    check_not_negative,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.nearest import nearest_candidates
from counterpoint.engine.ranks import gathered_rows, global_positions, global_start
from counterpoint.engine.row_function import row_losses
from counterpoint.engine.similarity import unit_rows
from counterpoint.engine.softmax import reduce_rows, reduce_total
from counterpoint.engine.terms import IndexFunction, Reduction
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.duplicates import negatives_only
from counterpoint.objectives.masked import masked_log_sum
from counterpoint.objectives.registry import Loss, objective

Form = Literal["softmax", "max"]
Heads = Literal["sum", "mean"]

SOURCE = "Wang et al. 2024, Adaptive Multi-head Contrastive Learning, arXiv 2310.05615"
VARIANCE_EPS = 1e-5


def temperature_penalty(temperatures: Tensor, width: int) -> Tensor:
    """``Omega(t) = (D / 2) log t + 1 / t``, smallest at ``t = 2 / D``.

    The negative logarithm of a Gaussian of variance t at unit vectors, less its similarity. With
    ``-s / t`` and weight 1 the optimum is ``t = 2 (1 - s) / D``: far pairs get a higher
    temperature.

    Args:
        temperatures: above 0, any shape.
        width: D of the projections.

    Returns:
        The same shape.

    Source: Wang et al. 2024, arXiv 2310.05615.
    """
    return width / 2 * temperatures.log() + temperatures.reciprocal()


@objective(
    inputs="two views",
    across_ranks="negatives are the rows of all ranks, head by head; mean over all anchors",
    source=SOURCE + ", Table 2 (2.1, 2.4)",
)
def amcl(
    z1: Tensor,
    z2: Tensor,
    temperature: Temperature = 0.1,
    *,
    pair_temperature: PairTemperature | None = None,
    form: Form = "softmax",
    beta: float = 0.1,
    hardest: int | None = None,
    decoupled: bool = True,
    heads: Heads = "sum",
    negatives: Tensor | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
    negative_ids: Tensor | None = None,
    across_ranks: bool = False,
) -> Tensor:
    """Contrast in every head, each pair with its own temperature, summed over heads.

    With similarities s, temperatures t of the pairs and `temperature_penalty` O, of one head::

        softmax:  -s+ / t+ + log sum_n exp(s_n / t_n) + beta O(t+) - beta mean_n O(t_n)
        max:      -s+ / t+ + s_n / t_n + beta O(t+) - beta O(t_n),   n the most similar negative

    ``"max"`` is the paper's; ``"softmax"``, which gives every negative a gradient, has it as its
    limit where negatives share a temperature. With one constant temperature both penalties cancel:
    ``"softmax"`` with one head is `dcl` then, and `nt_xent` if not ``decoupled``.

    Args:
        z1: first view, projections of C heads, float ``(N, C, D)``, or ``(N, D)`` for one.
        z2: second view, the same shape.
        temperature: where there is no ``pair_temperature``: positive; one number, a learnable
            scalar, or one value an anchor.
        pair_temperature: phi, asked for the temperature of every pair; its gradient flows into it
            and into the projections. With D = 128 and beta 0.1 the penalty outweighs similarities
            and pulls towards 2 / D: scale beta with 1 / D if `PairTemperature.share_at_bound` is
            high.
        form: ``"softmax"`` or ``"max"``.
        beta: weight of the penalty, at least 0.
        hardest: the sums run over so many most similar negatives of each anchor and head, the mean
            over them in ``"max"``; None for all, and 1 in ``"max"``. The choice has no gradient.
        decoupled: the positive is no candidate of the second term. If it is one, ``"max"`` is
            exactly 0, without gradient, where the positive is the most similar (2.4).
        heads: ``"sum"``, or ``"mean"``, whose gradient does not grow with C.
        negatives: projections ``(M, C, D)`` in place of those of the batch, e.g. of a queue;
            anchors are then the rows of z1 only. No gradient.
        normalize: divide every projection by its length; phi sees them as they are.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors, z1's first.
        ids: int64 ``(N,)``; rows of equal id are never each other's negatives.
        negative_ids: int64 ``(M,)``, the ids of ``negatives``.
        across_ranks: the loss of the batch of all ranks (see `counterpoint.engine.ranks`).

    Returns:
        ``()``, or without reduction ``(2N,)``, ``(N,)`` with ``negatives``. An anchor without
        negatives has no terms of negatives.

    Raises:
        DataError: projections or ids that do not fit, NaN, infinity.
        SettingError: a setting out of range; all negatives with a concatenation.

    Source: Wang et al. 2024, Adaptive Multi-head Contrastive Learning, ECCV 2024, arXiv
    2310.05615, Table 2: (2.1), (2.4) with ``decoupled=False``. The softmax form, and penalties
    averaged over negatives, are reconstructed: the released module does not run.
    """
    check_reduction(reduction)
    check_choice(Form, form=form)
    check_choice(Heads, heads=heads)
    check_not_negative(beta=beta)
    if hardest is not None and hardest < 1:
        raise SettingError(f"hardest must be at least 1, not {hardest}.")
    n = same_rows(z1=z1, z2=z2)
    bank = {} if negatives is None else {"negatives": negatives}
    first, second, *banked = _checked(z1=z1, z2=z2, **bank)
    if not banked:
        anchors, positives = torch.cat([first, second]), torch.cat([second, first])
        pool = anchors
        ids = global_positions(z1, across_ranks) if ids is None else check_integers("ids", ids, n)
        valid = negatives_only(ids.repeat(2), None, anchors, 0, True, across_ranks)
    else:
        anchors, positives, pool = first, second, banked[0].detach()
        known = None if ids is None else negative_ids
        valid = negatives_only(ids, known, anchors, len(pool), False, across_ranks)
    scale = inverse_temperature(temperature, len(anchors), anchors)
    start = 0
    if across_ranks:
        start, pool = global_start(anchors), gathered_rows(pool)
    weights = None if reduction == "none" else torch.ones_like(anchors[:, 0, 0])
    losses = []
    for head in range(anchors.shape[1]):
        own = _Head(
            anchors[:, head], positives[:, head], pool[:, head], scale, pair_temperature, normalize
        )
        attraction = beta * own.penalty(own.positive) - own.logit
        if hardest is None and form == "softmax":
            repulsion = own.from_all(valid, start, beta, decoupled, weights)
        else:
            repulsion = own.from_hardest(valid, start, beta, decoupled, hardest or 1, form)
        if weights is None:
            losses.append(attraction + repulsion)
        else:
            losses.append(attraction.sum() + repulsion.sum())
    total = getattr(torch.stack(losses), heads)(0)
    if weights is None:
        return reduce_rows(total, None, reduction)
    return reduce_total(total, weights.sum(), reduction, across_ranks)


class _Head:
    """The pairs of one head.

    Attributes:
        positive: temperature of every anchor with its positive ``(N,)``.
        logit: similarity of that pair over its temperature ``(N,)``.
    """

    def __init__(
        self,
        anchors: Tensor,
        positives: Tensor,
        pool: Tensor,
        scale: Tensor,
        phi: PairTemperature | None,
        normalize: bool,
    ) -> None:
        self.anchors, self.pool, self.phi = anchors, pool, phi
        self.a, p, self.c = (unit_rows(x) if normalize else x for x in (anchors, positives, pool))
        self.constant = scale.reciprocal().expand(len(anchors))
        self.positive = self.constant if phi is None else phi(anchors, positives)
        self.logit = torch.linalg.vecdot(self.a, p) / self.positive

    def penalty(self, temperatures: Tensor) -> Tensor:
        return temperature_penalty(temperatures, self.anchors.shape[1])

    def from_all(
        self,
        valid: IndexFunction,
        start: int,
        beta: float,
        decoupled: bool,
        weights: Tensor | None,
    ) -> Tensor:
        """The softmax over all negatives, in blocks of rows; with weights their sum ``()``.

        Scores of phi are further columns: candidates are ``[c, 0]``, then ``[0, phi(c)]``.
        """
        a, c, phi = self.a, self.c, self.phi
        if phi is not None:
            if phi.form != "dot":
                raise SettingError(
                    "The temperature of all pairs needs form='dot' of the PairTemperature: a "
                    "concatenation would run its MLP N^2 times. Set hardest= to select negatives."
                )
            u, v = phi.features(self.anchors), phi.features(self.pool)
            a = torch.cat([a, u], 1)
            c = torch.cat([pad(c, (0, v.shape[1])), pad(v, (c.shape[1], 0))])
        count = len(self.c)

        def of_rows(x: Tensor, i: Tensor, j: Tensor, logit: Tensor, constant: Tensor) -> Tensor:
            s = x[:, :count]
            t = constant[:, None].expand_as(s) if phi is None else phi.of_scores(x[:, count:])
            return self._push(s, t, valid(i, j[:, :count]), logit, beta, decoupled)

        return row_losses(
            of_rows,
            a,
            c,
            a.new_ones(()),
            per_row=(self.logit, self.constant),
            weights=weights,
            first=start,
        )

    def from_hardest(
        self,
        valid: IndexFunction,
        start: int,
        beta: float,
        decoupled: bool,
        hardest: int,
        form: Form,
    ) -> Tensor:
        """The selected negatives only, ``(N, hardest, D)`` numbers."""
        index, there = nearest_candidates(self.a, self.c, hardest, valid, start)
        s = torch.linalg.vecdot(self.a[:, None], self.c[index])
        if self.phi is None:
            t = self.constant[:, None].expand_as(s)
        else:
            t = self.phi(self.anchors[:, None], self.pool[index])
        if form == "softmax":
            return self._push(s, t, there, self.logit, beta, decoupled)
        if not decoupled:
            s = torch.cat([(self.logit * self.positive)[:, None], s], 1)
            t = torch.cat([self.positive[:, None], t], 1)
            there = torch.cat([torch.ones_like(there[:, :1]), there], 1)
            best = s.masked_fill(~there, -torch.inf).topk(min(hardest, s.shape[1]), dim=1).indices
            s, t, there = (x.gather(1, best) for x in (s, t, there))
        return _mean_of(s / t - beta * self.penalty(t), there)

    def _push(
        self, s: Tensor, t: Tensor, kept: Tensor, logit: Tensor, beta: float, decoupled: bool
    ) -> Tensor:
        logits, counted = s / t, kept
        if not decoupled:
            logits = torch.cat([logit[:, None], logits], 1)
            counted = torch.cat([torch.ones_like(kept[:, :1]), kept], 1)
        total, some = masked_log_sum(logits, counted)
        return total.where(some, 0.0) - beta * _mean_of(self.penalty(t), kept)


def _mean_of(values: Tensor, kept: Tensor) -> Tensor:
    """Mean over the kept entries of each row; 0 where there are none."""
    return values.where(kept, 0.0).sum(1) / kept.sum(1).clamp(min=1)


def _checked(**projections: Tensor) -> list[Tensor]:
    """The projections of all heads, ``(rows, C, D)``, in one dtype of at least float32."""
    shapes = set()
    for name, z in projections.items():
        if not isinstance(z, Tensor) or z.dim() not in (2, 3) or z.numel() == 0:
            shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise DataError(f"{name} must be (N, C, D) of C heads, or (N, D) of one, not {shape}.")
        shapes.add(z.shape[1:])
    if len(shapes) > 1:
        shown = ", ".join(f"{name} {tuple(z.shape)}" for name, z in projections.items())
        raise DataError(f"All need the same heads and the same width: {shown}.")
    (shape,) = shapes
    heads = shape if len(shape) == 2 else (1, *shape)
    flat = prepare(False, **{name: z.flatten(1) for name, z in projections.items()})
    return [z.view(len(z), *heads) for z in flat]


@objective(
    inputs="features",
    across_ranks="no negatives: ranks of equal batches average it",
    ranks="rows",
    source=SOURCE + ", Table 2 (2.2)",
)
def amcl_simsiam(
    p1: Tensor,
    p2: Tensor,
    h1: Tensor,
    h2: Tensor,
    temperature: Temperature = 0.1,
    *,
    pair_temperature: PairTemperature | None = None,
    beta: float = 0.1,
    heads: Heads = "sum",
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """AMCL without negatives, for SimSiam; of one head, with constants h and penalty O::

        -s(p1, h2) / 2t - s(p2, h1) / 2t' + beta O(t) + beta O(t')

    t is the temperature of the pair (p1, h2), t' that of (p2, h1).

    Args:
        p1: predictions of the first view, float ``(N, C, D)``, or ``(N, D)`` for one head.
        p2: of the second view.
        h1: projections of the first view, the same shape; no gradient, also not through phi.
        h2: of the second view.
        temperature: where there is no ``pair_temperature``: positive; one number, a learnable
            scalar, or one value a sample.
        pair_temperature: as `amcl`.
        beta: weight of the penalty, at least 0.
        heads: ``"sum"`` or ``"mean"``.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over samples.

    Returns:
        ``()``, or ``(N,)`` without reduction.

    Raises:
        DataError: features that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Wang et al. 2024, ECCV 2024, arXiv 2310.05615, Table 2 (2.2); that phi sees the
    constants is reconstructed.
    """
    check_reduction(reduction)
    check_choice(Heads, heads=heads)
    check_not_negative(beta=beta)
    n = same_rows(p1=p1, p2=p2, h1=h1, h2=h2)
    x, y, a, b = _checked(p1=p1, p2=p2, h1=h1, h2=h2)
    constant = inverse_temperature(temperature, n, x).reciprocal().reshape(-1, 1)
    total = torch.zeros_like(x[..., 0])
    for prediction, target in ((x, b.detach()), (y, a.detach())):
        t = constant if pair_temperature is None else pair_temperature(prediction, target)
        if normalize:
            prediction, target = unit_rows(prediction), unit_rows(target)
        closeness = torch.linalg.vecdot(prediction, target)
        total = total - closeness / (2 * t) + beta * temperature_penalty(t, x.shape[2])
    return reduce_rows(getattr(total, heads)(1), None, reduction)


@objective(
    inputs="features",
    across_ranks="a rank correlates its own batch; ranks of equal batches average it",
    source=SOURCE + ", Table 2 (2.3)",
)
def amcl_barlow(
    z1: Tensor,
    z2: Tensor,
    temperature: float | Tensor = 1.0,
    *,
    pair_temperature: PairTemperature | None = None,
    beta: float = 0.1,
    off_diagonal: float = 0.005,
    heads: Heads = "sum",
) -> Tensor:
    """AMCL of features instead of samples, for Barlow Twins; of one head, with penalty O::

        sum_l (1 - C_ll / t_ll)^2 + lambda sum_{m != l} C_lm^2 / t_lm
            + beta sum_l O(t_ll) - beta sum_{m != l} O(t_lm)

    C is the cross-correlation of the D features of the batch. The pair (l, m) is column l of view 1
    and column m of view 2, standardised: phi has the width N, and the batch size is fixed. Holds
    the D x D numbers of C.

    Args:
        z1: projections of the first view, float ``(N, C, D)``, or ``(N, D)`` for one head, N at
            least 2.
        z2: of the second view, the same shape.
        temperature: where there is no ``pair_temperature``: a positive number or learnable scalar.
        pair_temperature: of width N, see `amcl`.
        beta: weight of the penalty, at least 0.
        off_diagonal: lambda, at least 0.
        heads: ``"sum"`` or ``"mean"``.

    Returns:
        ``()``.

    Raises:
        DataError: projections that do not fit, NaN, infinity, a single sample.
        SettingError: a setting out of range.

    Source: Wang et al. 2024, ECCV 2024, arXiv 2310.05615, Table 2 (2.3); what phi sees, and
    lambda, of Barlow Twins, are reconstructed.
    """
    check_choice(Heads, heads=heads)
    check_not_negative(beta=beta, off_diagonal=off_diagonal)
    n = same_rows(z1=z1, z2=z2)
    if n < 2:
        raise DataError("Features of a single sample have no correlation; use at least 2.")
    x, y = (_standardised(z) for z in _checked(z1=z1, z2=z2))
    constant = inverse_temperature(temperature, 1, x).reciprocal().reshape(())
    width = x.shape[2]
    own = torch.eye(width, dtype=torch.bool, device=x.device)
    values = []
    for a, b in zip(x.unbind(1), y.unbind(1), strict=True):
        correlation = a.T @ b / n
        if pair_temperature is None:
            t = constant.expand_as(correlation)
        else:
            t = pair_temperature(a.T[:, None], b.T[None])
        penalty = beta * temperature_penalty(t, width)
        near = (1 - correlation / t).square() + penalty
        far = off_diagonal * correlation.square() / t - penalty
        values.append(near.where(own, far).sum())
    total: Tensor = getattr(torch.stack(values), heads)()
    return total


def _standardised(z: Tensor) -> Tensor:
    spread = z.var(0, correction=0) + VARIANCE_EPS
    return (z - z.mean(0)) * spread.rsqrt()


class AMCL(Loss, function=amcl):
    """`counterpoint.objectives.functional.amcl` as a module; phi is trained and saved with it."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        pair_temperature: PairTemperature | None = None,
        form: Form = "softmax",
        beta: float = 0.1,
        hardest: int | None = None,
        decoupled: bool = True,
        heads: Heads = "sum",
        normalize: bool = True,
        reduction: Reduction = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__(
            temperature=temperature,
            form=form,
            beta=beta,
            hardest=hardest,
            decoupled=decoupled,
            heads=heads,
            normalize=normalize,
            reduction=reduction,
            across_ranks=across_ranks,
        )
        self.pair_temperature = pair_temperature

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        *,
        negatives: Tensor | None = None,
        ids: Tensor | None = None,
        negative_ids: Tensor | None = None,
    ) -> Tensor:
        return self.call(
            z1,
            z2,
            pair_temperature=self.pair_temperature,
            negatives=negatives,
            ids=ids,
            negative_ids=negative_ids,
        )


class AMCLSimSiam(Loss, function=amcl_simsiam):
    """`counterpoint.objectives.functional.amcl_simsiam` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        pair_temperature: PairTemperature | None = None,
        beta: float = 0.1,
        heads: Heads = "sum",
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            beta=beta,
            heads=heads,
            normalize=normalize,
            reduction=reduction,
        )
        self.pair_temperature = pair_temperature

    def forward(self, p1: Tensor, p2: Tensor, h1: Tensor, h2: Tensor) -> Tensor:
        return self.call(p1, p2, h1, h2, pair_temperature=self.pair_temperature)


class AMCLBarlow(Loss, function=amcl_barlow):
    """`counterpoint.objectives.functional.amcl_barlow` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 1.0,
        *,
        pair_temperature: PairTemperature | None = None,
        beta: float = 0.1,
        off_diagonal: float = 0.005,
        heads: Heads = "sum",
    ) -> None:
        super().__init__(temperature=temperature, beta=beta, off_diagonal=off_diagonal, heads=heads)
        self.pair_temperature = pair_temperature

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        return self.call(z1, z2, pair_temperature=self.pair_temperature)
