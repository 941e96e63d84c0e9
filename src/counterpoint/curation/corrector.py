"""The corrector: a small network that judges every row without having seen its label.

Source: Shu, "Pre-trained Language Models as Re-Annotators", arXiv 2205.05368 (2022); a
reconstruction, since only the abstract could be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint.errors import SettingError
from counterpoint.objectives.distant_peer import distant_peer
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.progress import OnProgress, Progress

FEWEST_STEPS = 200
PROJECTION = 128
CONTRAST_TEMPERATURE = 0.1


@dataclass(frozen=True)
class Corrector:
    """Trains one network a fold, all folds at once, each on the rows of the other folds.

    A network is ``D -> hidden ReLU -> C``; its loss is the cross entropy with soft targets plus
    ``beta`` times `distant_peer` of a projection of the hidden units.

    Args:
        hidden: hidden units.
        dropout: share of hidden units left out at each step, in [0, 1).
        epochs: passes over the rows; more where that makes fewer than 200 steps.
        batch: rows a step.
        learning_rate, weight_decay: of AdamW; the rate rises for a tenth of the steps, then falls
            to 0.
        beta: weight of the distant-peer loss; 0 leaves it out.
        peers: distant peers of an anchor.
    """

    hidden: int = 512
    dropout: float = 0.5
    epochs: int = 5
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    beta: float = 0.0
    peers: int = 2

    def __post_init__(self) -> None:
        whole = (self.hidden, self.epochs, self.batch, self.peers)
        if min(whole) < 1 or not 0 <= self.dropout < 1 or self.beta < 0:
            raise SettingError(
                "Corrector needs hidden, epochs, batch and peers of at least 1, dropout in [0, 1) "
                f"and beta of at least 0; got {self}."
            )

    def fit(
        self,
        z: Floats,
        targets: Floats,
        fold: Ints,
        labels: Ints,
        credibility: Floats,
        *,
        independent: bool = False,
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Networks:
        """Trains the networks.

        Args:
            z: unit rows ``(N, D)``.
            targets: what the network of each fold learns, ``(F, N, C)``, rows on the simplex, or
                anything in [0, 1] where the classes are independent.
            fold: the fold ``(N,)`` that holds each row out.
            labels: given labels ``(N,)``.
            credibility: ``(N,)`` in [0, 1]; decides who may be anchor and peer.
            independent: whether a row may carry any number of classes: each has a sigmoid and a
                binary cross entropy of its own then.
            seed: seed of weights, order and dropout.
            on_progress: told how far it is.
        """
        generator = torch.Generator().manual_seed(seed)
        folds, _, classes = targets.shape
        learn = [torch.from_numpy(np.flatnonzero(fold != held)) for held in range(folds)]
        count = min(len(part) for part in learn)
        batch = min(self.batch, count)
        steps = count // batch
        epochs = max(self.epochs, -(-FEWEST_STEPS // steps))
        networks = Networks(folds, z.shape[1], self.hidden, classes, generator, independent)
        entropy = _binary_cross_entropy if independent else _cross_entropy
        x = torch.from_numpy(z).float() * z.shape[1] ** 0.5
        shared = targets.strides[0] == 0
        y = torch.tensor(targets[:1] if shared else targets, dtype=torch.float32)
        known, trust = torch.tensor(labels), torch.tensor(credibility)
        optimiser = torch.optim.AdamW(
            networks.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, self.learning_rate, total_steps=epochs * steps + 1, pct_start=0.1
        )
        which = torch.zeros(folds, 1, dtype=torch.long) if shared else torch.arange(folds)[:, None]
        for epoch in range(epochs):
            order = torch.stack(
                [part[torch.randperm(len(part), generator=generator)[:count]] for part in learn]
            )
            for step in range(steps):
                chosen = order[:, step * batch : (step + 1) * batch]
                h = self._thinned(networks.features(x[chosen]), generator)
                loss = entropy(networks.logits(h), y[which, chosen])
                if self.beta:
                    e = networks.projected(h)
                    for at, part in enumerate(chosen):
                        loss = loss + self.beta * distant_peer(
                            e[at],
                            known[part],
                            CONTRAST_TEMPERATURE,
                            base=x[part],
                            credibility=trust[part],
                            peers=self.peers,
                        )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            if on_progress is not None:
                on_progress(Progress("train the corrector", epoch + 1, epochs))
        return networks

    def _thinned(self, h: Tensor, generator: torch.Generator) -> Tensor:
        if not self.dropout:
            return h
        kept = torch.rand(h.shape, generator=generator) >= self.dropout
        return h * kept / (1 - self.dropout)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the rows of a fold, summed over folds, so that folds do not touch each other."""
    return -(targets * logits.log_softmax(-1)).sum(-1).mean(-1).sum()


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed over classes, otherwise as `_cross_entropy`."""
    every = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return every.sum(-1).mean(-1).sum()


class Networks(nn.Module):
    """F networks of one shape, run side by side.

    Args:
        folds, width, hidden, classes: F, D, hidden units and C.
        generator: draws the weights.
        independent: whether each class has a sigmoid of its own.
    """

    def __init__(
        self,
        folds: int,
        width: int,
        hidden: int,
        classes: int,
        generator: torch.Generator,
        independent: bool = False,
    ) -> None:
        super().__init__()
        self._independent = independent

        def drawn(rows: int, columns: int, gain: float) -> nn.Parameter:
            scale = gain / rows**0.5
            return nn.Parameter(torch.randn(folds, rows, columns, generator=generator) * scale)

        self.inward = drawn(width, hidden, 2**0.5)
        self.inward_bias = nn.Parameter(torch.zeros(folds, 1, hidden))
        self.outward = drawn(hidden, classes, 0.5)
        self.outward_bias = nn.Parameter(torch.zeros(folds, 1, classes))
        self.projection = drawn(hidden, PROJECTION, 1.0)

    def features(self, x: Tensor) -> Tensor:
        """Hidden units ``(F, B, hidden)`` of ``x`` ``(F, B, D)``."""
        return torch.baddbmm(self.inward_bias, x, self.inward).relu()

    def logits(self, h: Tensor) -> Tensor:
        """Class logits ``(F, B, C)``."""
        return torch.baddbmm(self.outward_bias, h, self.outward)

    def projected(self, h: Tensor) -> Tensor:
        """What the distant-peer loss sees, ``(F, B, 128)``."""
        return torch.bmm(h, self.projection)

    @torch.no_grad()
    def held_out(self, z: Floats, fold: Ints) -> Floats:
        """Class probabilities ``(N, C)`` of each row, by the network that has not seen it."""
        out = np.empty((len(z), self.outward.shape[2]))
        for held in range(self.outward.shape[0]):
            rows = np.flatnonzero(fold == held)
            out[rows] = self._probabilities(z[rows], held)
        return out

    @torch.no_grad()
    def predict(self, z: Floats) -> Floats:
        """Class probabilities ``(M, C)`` of new rows: the mean over the networks."""
        every = [self._probabilities(z, at) for at in range(self.outward.shape[0])]
        mean: Floats = np.mean(every, axis=0)
        return mean

    def _probabilities(self, z: Floats, at: int) -> Floats:
        x = torch.from_numpy(z).float() * z.shape[1] ** 0.5
        h = (x @ self.inward[at] + self.inward_bias[at]).relu()
        logits = h @ self.outward[at] + self.outward_bias[at]
        each = logits.double()
        probabilities: Floats = (each.sigmoid() if self._independent else each.softmax(-1)).numpy()
        return probabilities


def stratified_folds(labels: Ints, folds: int, seed: int = 0) -> Ints:
    """Deals the rows of every class to ``folds`` folds in turn, at random, int64 ``(N,)``."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), dtype=np.int64)
    start = 0
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        fold[rows] = (np.arange(len(rows)) + start) % folds
        start += len(rows)
    return fold
