"""The temperature decides how hard near negatives are pushed, and so how uniform the space becomes.

Source: Wang and Liu, "Understanding the Behaviour of Contrastive Loss", CVPR 2021.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor, nn

from counterpoint.claims._claim import Claim, Pair, Part
from counterpoint.claims._pilot import Pilot, digits, embed, train
from counterpoint.geometry import penalty_entropy, relative_penalty, tolerance, uniformity
from counterpoint.objectives import functional as F

LOW, HIGH = 0.07, 1.0
ALPHA = 0.1
WARM_UP = 0.25
TEMPERATURES = (0.05, 0.1, 0.3, 1.0)
TOLERANCE = 1e-6
PILOT = Pilot(batch=128, steps=1000, optimiser="adam", lr=1e-3)


def measure(seed: int) -> dict[str, Pair]:
    """Trains at both temperatures and with the hard loss; checks the identities."""
    low = _shape(train(PILOT, partial(_plain, LOW), seed))
    high = _shape(train(PILOT, partial(_plain, HIGH), seed))
    hard = _shape(train(PILOT, _hard, seed))
    sums, ratios, rise = _identities(seed)
    return {
        "uniformity": (low[0], high[0]),
        "tolerance": (high[1], low[1]),
        "hard-uniformity": (hard[0], high[0]),
        "gradient-sum": (sums, TOLERANCE),
        "gradient-ratio": (ratios, TOLERANCE),
        "entropy": (rise, 0.0),
    }


def _plain(temperature: float, z1: Tensor, z2: Tensor, progress: float) -> Tensor:
    return F.nt_xent(z1, z2, temperature=temperature)


def _hard(z1: Tensor, z2: Tensor, progress: float) -> Tensor:
    if progress < WARM_UP:
        return _plain(HIGH, z1, z2, progress)
    anchors, positives = torch.cat([z1, z2]), torch.cat([z2, z1])  # the pairs of NT-Xent
    ids = torch.arange(len(z1)).repeat(2)
    return F.hard_contrastive(anchors, positives, temperature=HIGH, alpha=ALPHA, ids=ids)


def _shape(model: nn.Module) -> tuple[float, float]:
    """Minus uniformity and tolerance of the held-out digits."""
    z = embed(model, digits().test)
    return -float(uniformity(z)), float(tolerance(z, digits().test_labels))


def _identities(seed: int) -> tuple[float, float, float]:
    """Mismatch of the sums, mismatch of the ratios, smallest rise of the entropy."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.rand(64, 1 + 255, generator=generator, dtype=torch.float64) * 2 - 1
    sums, ratios = [], []
    for temperature in TEMPERATURES:
        leaf = s.clone().requires_grad_()
        loss = nn.functional.cross_entropy(
            leaf / temperature, torch.zeros(len(s), dtype=torch.long), reduction="sum"
        )
        (grad,) = torch.autograd.grad(loss, leaf)
        positive, negative = grad[:, :1].abs(), grad[:, 1:].abs()
        sums.append(float((negative.sum(1, keepdim=True) / positive - 1).abs().max()))
        penalty = relative_penalty(s[:, 1:], temperature)
        ratios.append(float((negative / positive - penalty).abs().max()))
    entropies = torch.stack([penalty_entropy(s[:, 1:], t) for t in TEMPERATURES])
    return max(sums), max(ratios), float(entropies.diff(dim=0).min())


SPREAD = "minus uniformity (t = 2) of held-out embeddings"

CLAIM = Claim(
    id="temperature",
    claim="A small temperature makes the space uniform, a large one keeps samples of one class "
    "close; keeping only the hardest negatives gives uniformity at a large temperature too.",
    data="digits (8x8): 1,438 to learn from, 359 held out; random similarities for the identities",
    settings={
        **asdict(PILOT),
        "temperatures": (LOW, HIGH),
        "alpha": ALPHA,
        "warm_up": "the first quarter of the steps with the plain loss",
        "encoder": "64 - 256 batch norm ReLU - 64, embeddings normalised, no further head",
        "views": "shift by up to one pixel each way, Gaussian noise 0.1",
        "identity_temperatures": TEMPERATURES,
        "identity_tolerance": TOLERANCE,
        "revisions": (
            "After a first counted run (same seeds, same verdicts): the hard loss, until then of "
            "one view against the other, takes the pairs of NT-Xent, so that only the loss "
            "differs.",
        ),
    },
    measure=measure,
    parts=(
        Part(
            id="uniformity",
            claim="Temperature 0.07 gives a more uniform space than 1.0.",
            method="NT-Xent at temperature 0.07",
            baseline="NT-Xent at temperature 1.0; all else equal",
            metric=SPREAD,
            refuted_below=0.0,
        ),
        Part(
            id="tolerance",
            claim="Temperature 1.0 keeps samples of one class closer than 0.07.",
            method="NT-Xent at temperature 1.0",
            baseline="NT-Xent at temperature 0.07; all else equal",
            metric="tolerance: mean cosine of held-out samples of one class",
            refuted_below=0.0,
        ),
        Part(
            id="hard-uniformity",
            claim="At temperature 1.0 the hard loss gives a more uniform space than the plain one.",
            method="hard contrastive loss (hardest tenth of the negatives) at temperature 1.0",
            baseline="NT-Xent at temperature 1.0; all else equal",
            metric=SPREAD,
            refuted_below=0.0,
        ),
        Part(
            id="gradient-sum",
            claim="The gradients on the negatives add up to that on the positive.",
            method="largest relative mismatch over 64 anchors and 4 temperatures",
            baseline="the tolerance",
            metric="relative difference",
            direction="lower",
            refuted_below=0.0,
            every_seed=True,
        ),
        Part(
            id="gradient-ratio",
            claim="A negative's share of the push is its softmax among the negatives.",
            method="largest mismatch over 64 anchors, 255 negatives and 4 temperatures",
            baseline="the tolerance",
            metric="difference of shares",
            direction="lower",
            refuted_below=0.0,
            every_seed=True,
        ),
        Part(
            id="entropy",
            claim="The entropy of those shares rises along temperatures 0.05, 0.1, 0.3, 1.",
            method="smallest rise over 64 anchors and the three steps",
            baseline="no rise",
            metric="nats",
            refuted_below=0.0,
            every_seed=True,
        ),
    ),
)
