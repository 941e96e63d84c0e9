"""Several heads whose temperatures follow the pair; what keeps these from the trivial solution.

Source: Wang et al., "Adaptive Multi-head Contrastive Learning", ECCV 2024.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from counterpoint import encoders, methods
from counterpoint.claims._claim import Claim, Pair, Part
from counterpoint.claims._pilot import digits, embed
from counterpoint.claims._steps import train
from counterpoint.data import load
from counterpoint.data.batch import Batch
from counterpoint.encoders.pair_temperature import PairTemperature
from counterpoint.methods.base import Codes, Method
from counterpoint.objectives import functional as F
from counterpoint.objectives.amcl import temperature_penalty
from counterpoint.probes import KNN
from counterpoint.threads import one_thread

STEPS, BATCH, LR = 150, 128, 2e-3
HEADS, FIXED, MIDDLE = 3, 0.1, 0.525
COMPONENTS, NOISE, PHI_STEPS, PHI_LR = 16, 0.6, 200, 1e-2
BOUNDS = (0.001, 1.0)
TOLERANCE = 1e-6


def measure(seed: int) -> dict[str, Pair]:
    """Trains with several heads and with one; temperatures alone with and without the penalty."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        adaptive = _knn(seed, heads=HEADS)
        several = _knn(seed, heads=HEADS, adaptive=False, temperature=FIXED)
        single = _knn(seed, heads=1, adaptive=False, temperature=FIXED)
        middle = _knn(seed, heads=1, adaptive=False, temperature=MIDDLE)
        bare, _ = _temperatures(0.0, seed)
        kept, correlation = _temperatures(1.0, seed)
    return {
        "accuracy": (adaptive, single),
        "accuracy-middle": (adaptive, middle),
        "temperatures": (adaptive, several),
        "bound": (kept, bare),
        "correlation": (correlation, 0.0),
        "identity": (_mismatch(seed), TOLERANCE),
        "optimum": (_slope_at_optima(seed), TOLERANCE),
    }


def _knn(seed: int, **settings: Any) -> float:
    torch.manual_seed(seed)
    encoder = encoders.build("conv-tiny", modality="images", channels=1, size=8, width=64)
    method = methods.build("amcl", encoder, **settings)
    train(method, load("digits", seed=0), partial(_loss, method), STEPS, BATCH, LR, seed)
    known, held = (embed(encoder, images) for images in (digits().train, digits().test))
    return KNN().score(known, digits().train_labels, held, digits().test_labels)


def _loss(method: Method, codes: Codes, batch: Batch) -> Tensor:
    return method.contrast(codes, batch)["loss"]


def _temperatures(beta: float, seed: int) -> tuple[float, float]:
    """Trains phi alone, on positives of fixed similarity.

    Returns:
        share of temperatures within 1 % of the lower bound; their correlation with similarity.
    """
    torch.manual_seed(seed)
    pixels = digits().train.flatten(1)
    centred = pixels - pixels.mean(0)
    known = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:COMPONENTS].T
    known = known / known.std()
    a, b = (known + NOISE * torch.randn_like(known) for _ in range(2))
    similarity = cosine_similarity(a, b)
    phi = PairTemperature(COMPONENTS, form="concatenation", lowest=BOUNDS[0], highest=BOUNDS[1])
    optimiser = torch.optim.Adam(phi.parameters(), lr=PHI_LR)
    for _ in range(PHI_STEPS):
        found = phi(a, b)
        loss = (beta * temperature_penalty(found, COMPONENTS) - similarity / found).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = phi(a, b).detach()
    correlation = torch.corrcoef(torch.stack([found, similarity]))[0, 1]
    return float(phi.share_at_bound(found)), float(correlation.nan_to_num())


def _mismatch(seed: int) -> float:
    """Relative difference from DCL with one head, one temperature and any beta."""
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(64, 16, generator=generator, dtype=torch.float64) for _ in range(2))
    dcl = F.dcl(z1, z2, temperature=FIXED)
    found = [F.amcl(z1, z2, temperature=FIXED, beta=beta) for beta in (0.0, 0.1)]
    return float(torch.stack([(loss / dcl - 1).abs() for loss in found]).max())


def _slope_at_optima(seed: int) -> float:
    """Largest derivative of penalty and loss where the optima are derived, relative to the width.

    The penalty has it at ``2 / D``, the loss of a positive at beta 1 at ``2 (1 - s) / D``.
    """
    generator = torch.Generator().manual_seed(seed)
    s = 1.8 * torch.rand(64, generator=generator, dtype=torch.float64) - 0.9
    slopes = []
    for width in (16, 128):
        for similarity in (torch.zeros_like(s), s):
            t = (2 * (1 - similarity) / width).requires_grad_()
            loss = temperature_penalty(t, width) - similarity / t
            (slope,) = torch.autograd.grad(loss.sum(), t)
            slopes.append((slope * t.detach() / width).abs().max())
    return float(torch.stack(slopes).max())


ACCURACY = "kNN accuracy on held-out digits (0 to 1)"
ADAPTIVE = f"{HEADS} heads with a learnt temperature for every pair"

CLAIM = Claim(
    id="amcl",
    claim="Several heads, each with temperatures that follow the pair, give better embeddings than "
    "one head with one temperature; the penalty keeps temperatures from running to their bound, "
    "and gives less similar positives higher ones.",
    data="digits (8x8): 1,438 to learn from, 359 held out; random vectors for the identities",
    settings={
        "steps": STEPS,
        "batch": BATCH,
        "optimiser": f"Adam, lr {LR:g}",
        "encoder": "conv-tiny, width 64",
        "views": "the five kinds that suit digits: size, angle and slope, light, contrast, noise",
        "method": "defaults of amcl: softmax form, beta 0.1, temperatures 0.05 to 1, mean of heads",
        "fixed_temperatures": (FIXED, MIDDLE),
        "probe": asdict(KNN()),
        "phi": {
            "components": COMPONENTS,
            "noise": f"{NOISE:g} times the deviation of the components",
            "steps": PHI_STEPS,
            "optimiser": f"Adam, lr {PHI_LR:g}",
            "bounds": BOUNDS,
            "form": "concatenation, similarities held fixed, positives alone",
            "beta": (0.0, 1.0),
        },
        "tolerance": TOLERANCE,
    },
    measure=measure,
    parts=(
        Part(
            id="accuracy",
            claim="Several adaptive heads are ahead of one head at temperature 0.1.",
            method=ADAPTIVE,
            baseline="one head, temperature 0.1 for every pair; equal seeds and steps",
            metric=ACCURACY,
            refuted_below=-0.02,
        ),
        Part(
            id="accuracy-middle",
            claim="They are ahead of one head at the middle of their range of temperatures.",
            method=ADAPTIVE,
            baseline=f"one head, temperature {MIDDLE} for every pair; equal seeds and steps",
            metric=ACCURACY,
            refuted_below=-0.02,
        ),
        Part(
            id="temperatures",
            claim="They are ahead of as many heads at temperature 0.1.",
            method=ADAPTIVE,
            baseline=f"{HEADS} heads, temperature 0.1 for every pair; equal seeds and steps",
            metric=ACCURACY,
            refuted_below=-0.02,
        ),
        Part(
            id="bound",
            claim="The penalty keeps temperatures of positives away from the lower bound.",
            method="share within 1 % of the bound after training phi at beta 1",
            baseline="the same at beta 0",
            metric="share of positives (0 to 1)",
            direction="lower",
            refuted_below=0.0,
        ),
        Part(
            id="correlation",
            claim="With the penalty less similar positives get higher temperatures.",
            method="correlation of temperature and similarity over positives at beta 1",
            baseline="none",
            metric="correlation (-1 to 1)",
            direction="lower",
            refuted_below=0.0,
        ),
        Part(
            id="identity",
            claim="One head with one temperature is NT-Xent without the positive below.",
            method="relative difference from DCL, float64, beta 0 and 0.1",
            baseline="the tolerance",
            metric="relative difference",
            direction="lower",
            refuted_below=0.0,
            every_seed=True,
        ),
        Part(
            id="optimum",
            claim="The penalty is least at 2 / D, the loss of a positive at 2 (1 - s) / D.",
            method="largest derivative there, times t / D",
            baseline="the tolerance",
            metric="relative slope",
            direction="lower",
            refuted_below=0.0,
            every_seed=True,
        ),
    ),
)
