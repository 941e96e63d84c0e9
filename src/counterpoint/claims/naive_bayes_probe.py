"""Few labels: naive Bayes. Many: logistic regression.

Source: Zheng et al., "Revisiting Discriminative vs. Generative Classifiers: Theory and
Implications", ICML 2023.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from counterpoint.claims._claim import Claim, Pair, Part
from counterpoint.claims._pilot import digits
from counterpoint.probes import SharedVarianceNaiveBayes, two_regimes
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.probes.logistic import fit_logistic
from counterpoint.threads import one_thread

FEATURES = (100, 400)
SIZES = (6, 10, 20, 40)
FEW, MANY = (12, 20, 30), (300, 700)

SETTINGS = {
    "simulation": {
        "classes": 3,
        "features": FEATURES,
        "m": SIZES,
        "repeats": 5,
        "test_points": 2000,
        "eps": 1e-9,
        "C": 1.0,
        "covariance": "diagonal, first half n, second half 1",
        "means": "constant vectors -1, 1, 2",
        "scaling": "none",
    },
    "regimes": {
        "network": "64 - 256 ReLU - 10, trained with labels on 500 digits",
        "training": "Adam 1e-3, 40 epochs, batch 50, cross entropy",
        "features": "the 256 ReLU units",
        "probe_training_rows": 800,
        "test_rows": 497,
        "m": FEW + MANY,
        "repeats": 10,
        "eps": 1e-2,
        "C": 1.0,
        "scaling": "min-max on the subset",
    },
}


def measure(seed: int) -> dict[str, Pair]:
    """Test errors of both classifiers in the simulation and on features of digits."""
    errors = {n: _simulated_errors(n, seed) for n in FEATURES}
    growth = (errors[400][40][0], errors[100][40][0])
    simulated = {f"simulation-n{n}-m{m}": errors[n][m] for n in FEATURES for m in SIZES}
    return _regimes(seed) | simulated | {"simulation-growth": growth}


def _simulated_errors(n: int, seed: int) -> dict[int, Pair]:
    generator = np.random.default_rng([seed, n])
    test_x, test_y = _gaussians(2000, n, generator)
    errors: dict[int, Pair] = {}
    for m in SIZES:
        found = []
        for _ in range(5):
            x, y = _gaussians(m, n, generator)
            nb = SharedVarianceNaiveBayes(eps=1e-9).fit(x, y)
            lr = fit_logistic(x, y, C=1.0, max_iter=1000, tol=1e-4)
            found.append([(model.predict(test_x) != test_y).mean() for model in (nb, lr)])
        nb_error, lr_error = np.mean(found, axis=0)
        errors[m] = (float(nb_error), float(lr_error))
    return errors


def _gaussians(m: int, n: int, generator: np.random.Generator) -> tuple[Floats, Ints]:
    y = np.arange(m) % 3
    scale = np.sqrt(np.where(np.arange(n) < n // 2, n, 1.0))
    means = np.array([-1.0, 1.0, 2.0])
    return generator.normal(size=(m, n)) * scale + means[y][:, None], y


def _regimes(seed: int) -> dict[str, Pair]:
    whole = digits()
    pixels = torch.cat([whole.train, whole.test]).flatten(1)
    labels = torch.cat([whole.train_labels, whole.test_labels])
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    taught, rows, held = order[:500], order[500:1300], order[1300:]
    features = _taught_features(pixels[taught], labels[taught], seed)(pixels).detach()
    curve = two_regimes(
        features[rows],
        labels[rows],
        features[held],
        labels[held],
        grid=FEW + MANY,
        repeats=10,
        seed=seed,
    )
    nb, lr = (
        dict(zip(curve["m"], curve[name]["mean"], strict=True))
        for name in ("naive_bayes", "logistic")
    )
    few = {f"regimes-m{m}": (nb[m], lr[m]) for m in FEW}
    return few | {f"regimes-m{m}": (lr[m], nb[m]) for m in MANY}


def _taught_features(x: torch.Tensor, y: torch.Tensor, seed: int) -> nn.Module:
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden = nn.Sequential(nn.Linear(64, 256), nn.ReLU())
        model = nn.Sequential(hidden, nn.Linear(256, 10))
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(40):
            for rows in torch.split(torch.randperm(len(y)), 50):
                optimiser.zero_grad()
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    return hidden


NB = "naive Bayes with one shared diagonal variance"
LR = "logistic regression (C = 1) on the same rows"
ERROR = "test error (0 to 1)"

CLAIM = Claim(
    id="naive-bayes-probe",
    claim="On frozen features naive Bayes needs far fewer labels than logistic regression to come "
    "near its best, and logistic regression is better with many: two regimes.",
    data="digits (8x8, features of a network taught on 500 of them) and simulated Gaussian classes",
    settings=SETTINGS,
    measure=measure,
    parts=(
        *(
            Part(
                id=f"regimes-m{m}",
                claim=f"With {m} labels naive Bayes has the lower error.",
                method=NB,
                baseline=LR,
                metric=ERROR,
                direction="lower",
                refuted_below=0.0,
            )
            for m in (20, 12, 30)
        ),
        *(
            Part(
                id=f"regimes-m{m}",
                claim=f"With {m} labels logistic regression has the lower error.",
                method=LR,
                baseline=NB,
                metric=ERROR,
                direction="lower",
                refuted_below=0.0,
            )
            for m in MANY
        ),
        *(
            Part(
                id=f"simulation-n{n}-m{m}",
                claim=f"Three Gaussian classes in {n} dimensions, {m} samples: naive Bayes has the "
                "lower error.",
                method=NB,
                baseline=LR,
                metric=ERROR,
                direction="lower",
                refuted_below=0.0 if m == 40 else None,
            )
            for n in FEATURES
            for m in SIZES
        ),
        Part(
            id="simulation-growth",
            claim="Four times the dimensions do not raise the error of naive Bayes at 40 samples "
            "by 0.01.",
            method=f"{NB}, 400 dimensions",
            baseline="the same in 100 dimensions",
            metric=ERROR,
            direction="lower",
            margin=-0.01,
        ),
    ),
)
