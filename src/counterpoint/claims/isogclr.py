"""Temperatures of their own: frequent meanings come to larger ones, rare ones to smaller.

Source: Qiu et al., "Not All Semantics are Created Equal", ICML 2023.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.claims._claim import Claim, Pair, Part, exact
from counterpoint.claims._long_tail import long_tailed
from counterpoint.claims._pilot import digits
from counterpoint.claims._steps import ENCODER, build, score, train
from counterpoint.data.dataset import Dataset
from counterpoint.objectives.sogclr import SogCLR
from counterpoint.probes import KNN
from counterpoint.threads import one_thread

STEPS, BATCH, LR = 400, 32, 1e-3
TEMPERATURE, RHO, ETA, RATIO = 0.1, 0.3, 0.03, 20.0
COMPONENTS, RARE, START, TAU_STEPS, TAU_ETA = 16, 20, 0.3, 90, 0.1
BOUNDS = (0.05, 2.0)
ROWS, TOLERANCE, SETTLED = 64, 1e-6, 1e-3


def measure(seed: int) -> dict[str, Pair]:
    """Moves temperatures alone, then trains on a long tail with and without them."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        z, rare = _components(seed)
        temperatures = _settled(z)
        tail = long_tailed(RATIO, seed)
        own, shared = (_accuracy(tail, rho, seed) for rho in (RHO, None))
    radius = _divergence(z, temperatures) - RHO
    return {
        "frequent": (float(temperatures[~rare].mean()), float(temperatures[rare].mean())),
        "stationary": (float(radius.abs().max()), SETTLED),
        "gradient": (_mismatch(z, seed), TOLERANCE),
        "accuracy": (own, shared),
    }


def _components(seed: int) -> tuple[Tensor, Tensor]:
    """Unit rows of the main principal components, one class cut, and which rows are of it."""
    generator = torch.Generator().manual_seed(seed)
    pixels, labels = digits().train.flatten(1).double(), digits().train_labels
    rare = labels == seed % 10
    members = rare.nonzero().flatten()
    cut = members[torch.randperm(len(members), generator=generator)[len(members) // RARE :]]
    kept = torch.ones(len(labels), dtype=torch.bool).index_fill(0, cut, False)
    centred = pixels[kept] - pixels[kept].mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    return normalize(centred @ directions[:, -COMPONENTS:], dim=1), rare[kept]


def _settled(z: Tensor) -> Tensor:
    """Temperatures of all samples after many steps against all others; embeddings fixed."""
    lowest, highest = BOUNDS
    loss = SogCLR(
        len(z), START, gamma=1.0, rho=RHO, eta=TAU_ETA, beta=1.0, lowest=lowest, highest=highest
    )
    with torch.no_grad():
        for _ in range(TAU_STEPS):
            loss(z, z, torch.arange(len(z)))
    return loss.state.get_buffer("temperature").double()


def _divergence(z: Tensor, temperatures: Tensor) -> Tensor:
    """KL of the softmax over the other samples from the uniform distribution, row by row."""
    own = torch.eye(len(z), dtype=torch.bool)
    p = (z @ z.T / temperatures[:, None]).masked_fill(own, -torch.inf).softmax(1)
    entropies: Tensor = torch.special.entr(p)
    return torch.tensor(len(z) - 1.0).log() - entropies.sum(1)


def _mismatch(z: Tensor, seed: int) -> float:
    """Between the gradient of the first surrogate and that of ``sum_v tau log g - positive``."""
    generator = torch.Generator().manual_seed(seed)
    rows = z[torch.randperm(len(z), generator=generator)[:ROWS]]
    noise = torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    leaf = torch.cat([rows, rows + 0.1 * noise]).requires_grad_()
    loss = SogCLR(ROWS, START, gamma=1.0)
    tau = loss.state.get_buffer("temperature").double().repeat(2)
    surrogate = loss(leaf[:ROWS], leaf[ROWS:], torch.arange(ROWS))
    unit = normalize(leaf, dim=1)
    sample = torch.arange(ROWS).repeat(2)
    scores = (unit @ unit.T / tau[:, None]).masked_fill(sample[:, None] == sample, -torch.inf)
    positive = (unit[:ROWS] * unit[ROWS:]).sum(1).repeat(2)
    whole = (tau * scores.logsumexp(1) - positive).sum() / ROWS
    gradients = [torch.autograd.grad(value, leaf)[0] for value in (surrogate, whole)]
    return float((gradients[0] - gradients[1]).abs().max())


def _accuracy(data: Dataset, rho: float | None, seed: int) -> float:
    method = build("isogclr", seed, temperature=TEMPERATURE, rho=rho, eta=ETA)
    train(method, data, None, STEPS, BATCH, LR, seed)
    return score(method.encoder, data, KNN())


CLAIM = Claim(
    id="isogclr",
    claim="Temperatures of their own become larger for samples of frequent meaning than for rare "
    "ones, and embeddings of imbalanced data are no worse for it.",
    data=f"digits (8x8): {COMPONENTS} principal components with one class cut to a {RARE}th; and "
    f"a long tail whose rarest class is {RATIO:g} times smaller than its most frequent one, "
    "held-out digits balanced",
    settings={
        "steps": STEPS,
        "batch": BATCH,
        "optimiser": f"Adam, lr {LR:g}",
        "encoder": ENCODER,
        "temperature": TEMPERATURE,
        "rho": RHO,
        "eta": ETA,
        "probe": asdict(KNN()),
        "temperatures alone": {
            "start": START,
            "steps": TAU_STEPS,
            "eta": TAU_ETA,
            "gamma, beta": (1.0, 1.0),
            "bounds": BOUNDS,
            "rare class": "seed modulo 10",
            "tolerance": SETTLED,
        },
        "gradient": f"{ROWS} samples of the components, second views with noise 0.1, float64",
        "tolerance": TOLERANCE,
    },
    measure=measure,
    parts=(
        Part(
            id="frequent",
            claim="Frequent classes come to larger temperatures than the rare one.",
            method="mean temperature of the nine frequent classes, embeddings fixed",
            baseline="mean temperature of the class that was cut",
            metric="temperature",
            refuted_below=0.0,
        ),
        exact(
            "stationary",
            "They come to rest where the softmax over negatives is rho away from uniform.",
            "largest mismatch of KL(softmax || uniform) and rho over all samples",
            "nats",
        ),
        exact(
            "gradient",
            "Where the estimate is the batch's own the surrogate has the gradient of the loss.",
            "largest mismatch from the gradient of tau log g - positive, both views",
        ),
        Part(
            id="accuracy",
            claim="On a long tail temperatures of their own are at least as accurate.",
            method=f"iSogCLR: a temperature for every sample, rho {RHO:g}",
            baseline="SogCLR: temperature 0.1 for all; all else equal",
            metric="balanced kNN accuracy on held-out digits (0 to 1)",
            refuted_below=-0.02,
        ),
    ),
)
