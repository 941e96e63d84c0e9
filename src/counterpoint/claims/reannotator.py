"""Neighbours tell wrong labels; soft labels and distant peers correct better.

Source: Shu, "Pre-trained Language Models as Re-Annotators", arXiv 2205.05368 (2022); only the
abstract could be read, so the claims are those of a reconstruction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score, roc_auc_score

from counterpoint.claims._claim import Claim, Pair, Part
from counterpoint.claims._pilot import digits
from counterpoint.curation.corrector import Corrector, stratified_folds
from counterpoint.curation.credibility import (
    Neighbours,
    centred,
    credibility,
    label_shares,
    nearest,
)
from counterpoint.curation.judge import Judge
from counterpoint.curation.noise import plant
from counterpoint.curation.soft_labels import bandwidth, kernel_density, soft_targets
from counterpoint.objectives.distant_peer import distant_peer
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.threads import one_thread

NOISE = 0.2
K = 20
FREE = Corrector(hidden=256, dropout=0.0, epochs=40)
"""A network with the room to learn wrong labels by heart."""

SETTINGS = {
    "noise": "20 % of the labels, uniform over the other classes",
    "neighbours": K,
    "temperature": 0.1,
    "corrector": "64 - 256 ReLU - 10, AdamW 2e-3, 40 epochs, batch 128, no dropout, 5 folds",
    "soft_labels": "t_i = cred_i y_i + (1 - cred_i) q_i, bandwidth 0.35 of the median distance",
    "projection": "64 - 128 ReLU - 32, distant-peer loss alone, tau 0.1, M 2, 300 steps of 128 "
    "rows, Adam 1e-3",
    "cohesion": "mean cosine of a held-out row to its 5 farthest rows of the same true class",
}


def measure(seed: int) -> dict[str, Pair]:
    """Detection, correction and cohesion on noisy digits."""
    whole = digits()
    x = whole.train.flatten(1).double().numpy()
    truth = whole.train_labels.numpy()
    y = plant(truth, NOISE, seed=seed)
    z = centred(x)
    near = nearest(z, K)
    shares = label_shares(near, np.eye(10)[y])
    trust = credibility(shares, y)
    wrong = y != truth
    chance = credibility(label_shares(_random(near, seed), np.eye(10)[y]), y)
    judge = Judge(seed=seed)
    return {
        "detection": (roc_auc_score(wrong, -trust), roc_auc_score(wrong, -chance)),
        "soft-labels": _corrections(z, y, truth, near, trust, seed),
        "distant-peers": _cohesion(whole, y, trust, seed),
        "both-judges": _both(judge, z, y, wrong),
    }


def _random(near: Neighbours, seed: int) -> Neighbours:
    """The same similarities to rows drawn at random."""
    rng = np.random.default_rng(seed)
    rows, k = near.index.shape
    return Neighbours(
        near.similarity, (np.arange(rows)[:, None] + rng.integers(1, rows, (rows, k))) % rows
    )


def _corrections(
    z: Floats, y: Ints, truth: Ints, near: Neighbours, trust: Floats, seed: int
) -> Pair:
    fold = stratified_folds(y, 5, seed)
    given = np.eye(10)[y]
    soft = []
    for held in range(5):
        without = fold == held
        believed = credibility(label_shares(near, given, without=without), y)
        density = kernel_density(near, given, bandwidth(near), without=without)
        soft.append(soft_targets(given, density, believed))
    scores = []
    for targets in (np.stack(soft), np.broadcast_to(given, (5, *given.shape))):
        with one_thread():
            networks = FREE.fit(z, targets, fold, y, trust, seed=seed)
            corrected = networks.held_out(z, fold).argmax(axis=1)
        scores.append(float(f1_score(truth, corrected, average="macro")))
    return scores[0], scores[1]


def _cohesion(whole: Any, y: Ints, trust: Floats, seed: int) -> Pair:
    train, test = whole.train.flatten(1), whole.test.flatten(1)
    base = torch.from_numpy(centred(train.double().numpy())).float()
    labels, known = torch.from_numpy(y), torch.from_numpy(trust)
    values = []
    for choice in ("distant", "near"):
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            g = torch.nn.Sequential(
                torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 32)
            )
            optimiser = torch.optim.Adam(g.parameters(), 1e-3)
            for _ in range(300):
                rows = torch.randperm(len(train))[:128]
                loss = distant_peer(
                    g(train[rows]),
                    labels[rows],
                    base=base[rows],
                    credibility=known[rows],
                    choice=choice,
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            e = torch.nn.functional.normalize(g(test).detach(), dim=1)
        cosine = e @ e.T
        cosine[whole.test_labels[:, None] != whole.test_labels] = torch.inf
        values.append(float(cosine.sort(dim=1).values[:, :5].mean()))
    return values[0], values[1]


def _both(judge: Judge, z: Floats, y: Ints, wrong: Any) -> Pair:
    both = judge.judge(z, y).margin
    alone = Judge(network=False, seed=judge.seed).judge(z, y).margin
    return roc_auc_score(wrong, -both), roc_auc_score(wrong, -alone)


CLAIM = Claim(
    id="reannotator",
    claim="Labels that disagree with those of their neighbours are wrong labels; a corrector with "
    "soft labels from a kernel density and with distant peers corrects them better.",
    data="digits (8x8 pixels), 20 % of the training labels wrong",
    settings=SETTINGS,
    measure=measure,
    parts=(
        Part(
            id="detection",
            claim="Low credibility tells wrong labels, far beyond chance.",
            method=f"credibility by the {K} nearest neighbours",
            baseline=f"credibility by {K} random rows",
            metric="AUROC of wrong labels (0 to 1)",
            margin=0.25,
        ),
        Part(
            id="soft-labels",
            claim="A network with room to learn noise corrects better with soft targets.",
            method="KDE soft targets",
            baseline="the given labels as targets",
            metric="macro F1 of the corrected labels (0 to 1)",
        ),
        Part(
            id="distant-peers",
            claim="Distant peers draw a class together where near peers do not.",
            method="the 2 most distant peers",
            baseline="the 2 nearest peers",
            metric="cosine to the farthest rows of the own class (-1 to 1)",
            refuted_below=0.0,
        ),
        Part(
            id="both-judges",
            claim="Neighbours and corrector together detect better than neighbours alone.",
            method="votes and corrector averaged",
            baseline="votes",
            metric="AUROC of wrong labels (0 to 1)",
        ),
    ),
)
