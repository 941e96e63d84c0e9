"""Inputs on which a generator fails: what is a failure, which step leads there, what is natural."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError, SettingError, require
from counterpoint.objectives.sage import log_opinion

Rule = Literal["all", "mean"]
Kind = Literal["none", "distorted", "unrelated"]

KINDS: tuple[Kind, ...] = get_args(Kind)
FEWEST = 20
TURN = 0.125


def failed(logits: Tensor, labels: Tensor, rule: Rule = "all") -> Tensor:
    """Whether the judges see another class than was asked for, bool ``(B,)``.

    Args:
        logits: of J judges, float ``(B, J, C)``, or ``(B, C)`` of one. Judge again with others
            than those the search has used: fooling one classifier is no failure of the generator.
        labels: int64 ``(B,)``.
        rule: ``"all"``: the mean of the judges and every one of them errs (members that err
            differently can leave the class on top of the mean); ``"mean"``: the mean errs.

    Raises:
        DataError: logits or labels that do not fit, NaN, infinity.
        SettingError: unknown rule.

    Source: SAGE, ICLR 2024, arXiv 2306.00974 (rule reconstructed).
    """
    if rule not in get_args(Rule):
        raise SettingError(f"rule must be one of {', '.join(get_args(Rule))}, not {rule!r}.")
    opinion = log_opinion(logits)
    labels = check_integers("labels", labels, len(opinion))
    wrong = opinion.argmax(1) != labels
    if rule == "all" and logits.dim() == 3:
        wrong &= (logits.argmax(2) != labels[:, None]).all(1)
    return wrong


def failure_kind(
    logits: Tensor,
    labels: Tensor,
    persists: Tensor | None = None,
    *,
    rule: Rule = "all",
    sure: float = 0.5,
) -> Tensor:
    """Place in `KINDS` of every image, int64 ``(B,)``: none, distorted, or unrelated but natural.

    *Distorted*: no class has a probability of ``sure`` by the mean of the judges, and the failure
    stays when the prompt changes. *Unrelated*: another class has at least ``sure``. A failure that
    is neither, unsure of every class under this prompt only, counts as none.

    Args:
        logits: as `failed`.
        labels: int64 ``(B,)``.
        persists: whether it fails under other prompts too, bool ``(B,)``; None for yes.
        rule: as `failed`.
        sure: in (0, 1].

    Raises:
        DataError: inputs that do not fit.
        SettingError: a setting out of range.

    Source: SAGE, arXiv 2306.00974; the threshold is chosen.
    """
    if not 0 < sure <= 1:
        raise SettingError(f"sure must be in (0, 1], not {sure}.")
    wrong = failed(logits, labels, rule)
    top = log_opinion(logits).amax(1).exp()
    stays = torch.ones_like(wrong) if persists is None else persists.bool()
    if stays.shape != wrong.shape:
        raise DataError(f"persists must be ({len(wrong)},), not {tuple(stays.shape)}.")
    kind = torch.zeros_like(labels)
    kind[wrong & (top < sure) & stays] = KINDS.index("distorted")
    kind[wrong & (top >= sure)] = KINDS.index("unrelated")
    return kind


def typical(z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Each row with mean 0 and mean square 1 over its n numbers, so that its length is sqrt(n).

    What a Gaussian sample of many numbers looks like. A constant row is drawn anew.

    Args:
        z: latents, float ``(B, ...)``, at least 2 numbers a row.
        generator: of the rows drawn anew.

    Raises:
        DataError: a row of a single number, NaN, infinity.

    Source: SAGE, arXiv 2306.00974 (reconstructed).
    """
    rows = _latents(z)
    centred = rows - rows.mean(1, keepdim=True)
    constant = centred.square().mean(1) <= torch.finfo(z.dtype).eps ** 2
    if bool(constant.any()):
        fresh = torch.randn(rows.shape, generator=generator, dtype=z.dtype).to(z.device)
        fresh = fresh - fresh.mean(1, keepdim=True)
        centred = torch.where(constant[:, None], fresh, centred)
    return (centred / centred.square().mean(1, keepdim=True).sqrt()).view_as(z)


def latent_step(
    z: Tensor,
    gradient: Tensor,
    step: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`typical` of ``z - step g / ||g||``, row by row.

    Args:
        z: latents, float ``(B, ...)``.
        gradient: of the objective in z, the same shape; a row of zeros takes a random direction.
        step: above 0; None for ``0.125 sqrt(n)``, which turns z by about 7 degrees.
        generator: of random directions.

    Raises:
        DataError: shapes that differ, NaN, infinity.
        SettingError: step not above 0.

    Source: SAGE, arXiv 2306.00974 (reconstructed).
    """
    rows, g = _latents(z), _latents(gradient)
    if z.shape != gradient.shape:
        raise DataError(f"z is {tuple(z.shape)} and its gradient {tuple(gradient.shape)}.")
    step = TURN * math.sqrt(rows.shape[1]) if step is None else step
    if not step > 0:
        raise SettingError(f"step must be above 0, not {step}.")
    length = torch.linalg.vector_norm(g, dim=1, keepdim=True)
    if bool((length == 0).any()):
        fresh = torch.randn(rows.shape, generator=generator, dtype=z.dtype).to(z.device)
        g = torch.where(length == 0, fresh, g)
        length = torch.linalg.vector_norm(g, dim=1, keepdim=True)
    return typical((rows - step * g / length).view_as(z), generator)


def token_changes(embeddings: Tensor, start: Tensor, gradient: Tensor) -> Tensor:
    """``<E_v - u, g>`` of every candidate token v: how much it lowers the objective, first order.

    Args:
        embeddings: E of the candidates a language model offers, float ``(N, w)``.
        start: u, the provisional embedding at whose place g was taken, ``(w,)``. It shifts all
            scores alike.
        gradient: g of the mean objective over latents, ``(w,)``.

    Returns:
        ``(N,)``, lower is better.

    Raises:
        DataError: widths that differ.

    Source: SAGE, arXiv 2306.00974 (reconstructed).
    """
    if (
        embeddings.dim() != 2
        or start.shape != embeddings.shape[1:]
        or gradient.shape != start.shape
    ):
        raise DataError("embeddings must be (N, w), start and gradient (w,).")
    return (embeddings - start) @ gradient


def best_tokens(
    changes: Tensor, log_probabilities: Tensor, count: int, banned: Tensor | None = None
) -> Tensor:
    """The ``count`` candidates of lowest `token_changes`; of equal ones the more likely first.

    Args:
        changes: ``(N,)``.
        log_probabilities: of the candidates under the language model, ``(N,)``.
        count: at least 1; fewer where fewer are allowed.
        banned: bool ``(N,)``, words that name another class or deny this one.

    Returns:
        int64 ``(count,)``.

    Raises:
        DataError: shapes that differ.
        SettingError: count below 1.

    Source: SAGE, arXiv 2306.00974.
    """
    if changes.dim() != 1 or changes.shape != log_probabilities.shape:
        raise DataError("changes and log_probabilities must both be (N,).")
    if count < 1:
        raise SettingError(f"count must be at least 1, not {count}.")
    likely = log_probabilities.argsort(descending=True, stable=True)
    order = likely[changes[likely].argsort(stable=True)]
    if banned is not None:
        order = order[~banned[order]]
    return order[:count]


def prompt_fails(
    failures: Tensor, log_probabilities: Tensor, perplexity: float, rate: float = 0.5
) -> bool:
    """Whether a natural prompt fails: often enough, and with a perplexity below a bound.

    Args:
        failures: of fresh latents, bool ``(R,)``.
        log_probabilities: of its tokens given those before, ``(T,)``.
        perplexity: bound of ``exp(-mean log p)``.
        rate: least share of failures, in (0, 1].

    Raises:
        DataError: no latents or no tokens.
        SettingError: a setting out of range.

    Source: SAGE, arXiv 2306.00974; the share is chosen.
    """
    if failures.numel() == 0 or log_probabilities.numel() == 0:
        raise DataError("There must be latents that were judged, and tokens.")
    if not (perplexity > 0 and 0 < rate <= 1):
        raise SettingError(f"Need perplexity above 0 and rate in (0, 1]: {perplexity}, {rate}.")
    fluent = float(torch.exp(-log_probabilities.mean())) < perplexity
    return fluent and float(failures.double().mean()) >= rate


def non_gaussian_rate(z: Tensor, level: float = 0.05) -> float:
    """NGR: share of latents that the test of D'Agostino and Pearson rejects as Gaussian.

    About ``level`` is expected of honest samples. `typical` changes nothing about it.

    Args:
        z: latents, float ``(B, ...)``, at least 20 numbers a row.
        level: of the test, in (0, 1).

    Raises:
        DataError: fewer numbers, NaN, infinity.
        SettingError: level out of range.
        MissingExtraError: scipy is not installed.

    Source: SAGE, arXiv 2306.00974; which test is chosen.
    """
    if not 0 < level < 1:
        raise SettingError(f"level must be in (0, 1), not {level}.")
    rows = _latents(z)
    if rows.shape[1] < FEWEST:
        raise DataError(f"The test needs at least {FEWEST} numbers a latent, not {rows.shape[1]}.")
    found = require("scipy.stats", "probe").normaltest(rows.double().cpu().numpy(), axis=1)
    return float((found.pvalue < level).mean())


def success_rate(calls: Tensor, budget: int) -> float:
    """SSR: share of searches that failed within so many calls of the generator.

    Args:
        calls: after how many calls each search has found a failure, int64 ``(S,)``; -1 for never.
            The call that checks the start is not counted, and only starts that were right are
            searches. A random search of the same budget is the baseline.
        budget: at least 1.

    Raises:
        DataError: no search.
        SettingError: budget below 1.

    Source: SAGE, arXiv 2306.00974.
    """
    calls = check_integers("calls", calls, len(calls))
    if len(calls) == 0:
        raise DataError("There must be at least one search.")
    if budget < 1:
        raise SettingError(f"budget must be at least 1, not {budget}.")
    return float(((calls >= 0) & (calls <= budget)).double().mean())


def _latents(z: Tensor) -> Tensor:
    """Rows ``(B, n)`` without NaN, of at least two numbers."""
    rows = z.flatten(1) if z.dim() > 1 else z[:, None]
    if not z.is_floating_point() or rows.shape[1] < 2:
        raise DataError(f"Latents must be floats (B, ...) of at least 2 numbers a row: {z.shape}.")
    bad = (~rows.detach().isfinite()).any(1).nonzero().flatten()
    if len(bad):
        raise DataError(f"Latents hold NaN or infinity in row {int(bad[0])}.")
    return rows
